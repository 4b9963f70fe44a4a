"""What happened: one event per request, written before its answer is sent.

Owns the record's form (CloudTrail's, "CloudTrail record contents", version 1.11) and the journal on disk. It never
decides, and never sees a secret: request parameters arrive redacted by the service model's `sensitive` trait.

A record says how a request ended, so it is written after the commit. If the broker is killed between the two, what was
committed has no record; the requests were not answered either. A record before the commit would need a second one that
says how the request ended, and a reader would have to doubt every first one without a second. A record that cannot be
written waits, and no other request is begun until it is written (`journal`).

The exception are answers that show a secret only once (an access key, an MFA seed), of requests and of commands: their
records are written before the commit. If such a record cannot be written, nothing is committed; otherwise a secret
would exist that could not be shown. If the commit then fails, or is retried, another record of the same request follows
with the error or the new answer: of several records of one request the last one counts.

Requests are those of the API listener that could be parsed as HTTP; other bytes are only in the operator's log. Reads
of the metadata listener leave no record, as on AWS. Minting a role's credentials there does, as the AssumeRole of the
service that delivers them, and so does its refusal.
"""
