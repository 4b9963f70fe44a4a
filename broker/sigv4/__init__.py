"""AWS Signature Version 4 and 4A: which key signed a request, verified on bytes alone.

Owns: reading the Authorization header or the presigned query, the canonical request, the verification, and the
bounded cache of derived signing keys. Never looks up a secret, reads a clock or decides what a caller may do.

Obeys the IAM User Guide, "AWS Signature Version 4 for API requests" (reference_sigv) and "Troubleshoot signed
requests for AWS APIs"; where those pages say nothing, the messages and the order of checks are those observed in
answers of STS, IAM and services with the same front end.
"""
