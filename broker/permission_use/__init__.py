"""Which permissions requests need, and which of those that are granted nobody uses.

Owns the table of what an operation asks the gate for, and what of an account's roles, passwords and permissions was not
used since a moment: by the marks that the broker leaves of each use. Access Analyzer's findings and the rules of
hygiene are made of the same answers. Never decides a request, and stores nothing.
"""
