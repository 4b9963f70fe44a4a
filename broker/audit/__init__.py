"""What happened: one event per request, written before its answer is sent.

Owns the record's form (CloudTrail's, "CloudTrail record contents", version 1.11) and the journal on disk. It never
decides, and never sees a secret: request parameters arrive redacted by the service model's `sensitive` trait.

A record says what a request came to, so it is written when that is known: behind the commit. A broker that is killed
between the two leaves a deed without a record, as the last request that it did not answer. The other way round, each
request would need a second record that says how the first one ended, and a reader would have to doubt all that lack it.
A record that cannot be written is kept, and nothing else is done until it is (`journal`).

Requests are those of the API listener that could be read as HTTP. Bytes that could not are the operator's log's alone.
Reads of the metadata listener leave no record, on purpose, as on AWS: it is the minting of a role's credentials that
does, as the AssumeRole of the service that delivers them, and its refusal.
"""
