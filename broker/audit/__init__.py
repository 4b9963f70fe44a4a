"""What happened: one event per request, written before its answer is sent.

Owns the record's form (CloudTrail's, "CloudTrail record contents", version 1.11) and the journal on disk. It never
decides, and never sees a secret: request parameters arrive redacted by the service model's `sensitive` trait.

A record says what a request came to, so it is written when that is known: behind the commit. A broker that is killed
between the two leaves deeds without a record: the requests that it had not answered. The other way round, each request
would need a second record that says how the first one ended, and a reader would have to doubt all that lack it.
A record that cannot be written is kept, and nothing else is done until it is (`journal`).

The exception are answers that show a secret this once (an access key, an MFA seed), of requests and of commands: their
records are written before the commit, since a secret whose record finds no room could not be shown, and what it opens
would be there all the same. Where the commit then fails, or is tried again, another record of the same request follows
with the error or the new answer: of several records of one request the last one counts.

Requests are those of the API listener that could be read as HTTP. Bytes that could not are the operator's log's alone.
Reads of the metadata listener leave no record, on purpose, as on AWS: it is the minting of a role's credentials that
does, as the AssumeRole of the service that delivers them, and its refusal.
"""
