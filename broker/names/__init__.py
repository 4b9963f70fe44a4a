"""Names: ARNs, unique ids, principals, IP addresses, secrets that do not print themselves.

Pure: no clock, no entropy, no store. Obeys the IAM User Guide's "IAM identifiers" page.
"""
