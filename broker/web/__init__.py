"""The request handlers, in the only room that speaks HTTP (httptools): each request gets a response and a record.

Never decides and never mints: it reads untrusted requests, passes them to the rooms below in numbered steps, and
renders results and refusals.
"""
