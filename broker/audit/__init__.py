"""What happened: one event per request, written before its answer is sent.

Owns the record's form (CloudTrail's, "CloudTrail record contents", version 1.11) and the journal on disk. It never
decides, and never sees a secret: request parameters arrive redacted by the service model's `sensitive` trait.
"""
