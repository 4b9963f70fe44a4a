"""What identity providers publish: their keys and metadata, fetched with care and remembered for a while.

Owns outgoing HTTP to providers: which addresses it may reach, how long and how large an answer may be, when an answer
is fetched again. Owns LDAP as well: who logs in by a directory, in which groups, and how often a password may be tried;
and the authorities of client certificates, with what they have revoked; and the plugin that is asked about tokens.
Never judges an assertion, and never who may have a role. An HTTP client and the clock are passed in. Obeys OpenID
Connect Discovery 1.0, RFC 8414 and RFC 7517; of LDAP RFC 4511, 4513, 4514 and 4515.
"""
