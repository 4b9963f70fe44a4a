"""The only mint of credentials: temporary ones, sealed into their token; long-term key pairs; web identity tokens.

Owns how long each kind of session may last, how large a token may be, which keyring seals what, and which key of an
issuer signs when. Never decides who may have credentials (`access/gate.py`) and never proves a
caller (`access/prove.py`).
Specification: STS API Reference; IAM User Guide, "Temporary security credentials in IAM".
"""
