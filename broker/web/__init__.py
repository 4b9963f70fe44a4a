"""The doors: the only room that speaks HTTP (httptools). Requests in, answers out, one journal record each.

Never decides and never mints: it reads what is untrusted, hands it to the rooms below in numbered steps, and renders
what they answer or refuse.
"""
