"""A gateway in front of a store that speaks S3: who asks, what that needs, and the request as the store gets it.

Owns: the table of S3's operations, the names of buckets and keys, the errors in S3's XML, and the streams between
client and store. Never decides by itself (`broker.access.gate` does), never sends a client's credentials, host or an
unknown header to the store, never follows what the store redirects to.

Obeys the Amazon S3 API reference and the Service Authorization Reference ("Actions, resources, and condition keys for
Amazon S3").
"""
