"""Requests to identity providers: their published keys, fetched and cached; logins to an LDAP directory.

Owns outgoing HTTP to providers: which addresses it may reach, how long and how large an answer may be, when an answer
is fetched again. Owns LDAP, too: logins, groups, and how often a password may be tried; the authorities of client
certificates with their revocation lists; and requests to the identity plugin. Never verifies an assertion, and never
decides who may assume a role. An HTTP client and the clock are passed in. Obeys OpenID
Connect Discovery 1.0, RFC 8414 and RFC 7517; of LDAP RFC 4511, 4513, 4514 and 4515.
"""
