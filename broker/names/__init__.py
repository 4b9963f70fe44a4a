"""How things are called: ARNs, unique ids, principals, secrets that do not print themselves.

Pure: no clock, no entropy, no store. Obeys the IAM User Guide's "IAM identifiers" page.
"""
