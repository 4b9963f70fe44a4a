"""What identity providers publish: their keys and metadata, fetched with care and remembered for a while.

Owns outgoing HTTP to providers: which addresses it may reach, how long and how large an answer may be, when an answer
is fetched again. Never judges an assertion. An HTTP client and the clock are passed in. Obeys OpenID Connect
Discovery 1.0, RFC 8414 and RFC 7517.
"""
