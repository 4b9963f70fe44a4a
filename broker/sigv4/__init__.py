"""Who signed this? AWS Signature Version 4 and 4A, judged on bytes alone.

Owns: reading the Authorization header or the presigned query, the canonical request, the judgement, and the
bounded cache of derived signing keys. Never looks up a secret, reads a clock or decides what a caller may do.

Obeys the IAM User Guide, "AWS Signature Version 4 for API requests" (reference_sigv) and "Troubleshoot signed
requests for AWS APIs"; where those pages are silent, the words and the order of checks are those that STS, IAM
and their sisters were seen to answer.
"""
