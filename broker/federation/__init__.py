"""Keys and metadata of identity providers, and replay records of their assertions. Empty until federation is built.

Will own fetching and keeping what providers publish (an HTTP client is passed in); never judges an assertion.
"""
