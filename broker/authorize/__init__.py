"""May X do Y on Z? Decisions for other services, on resources that the broker does not serve itself.

Owns the questions of services (AuthZEN Authorization API 1.0), the searches over them, the table that maps requests
behind a proxy to actions and resources, and the questions of stores (MinIO's policy plug-in, Keystone). Never proves a
caller (`web` does, as for the API), never decides (`access.gate` does) and never serves the resource.

Law of the room:
- Who asks needs a permission: `broker:EvaluateAccess` on the subject.
- A condition key is either the broker's or the asker's, never both: what a proof says of the subject, and the time, is
  not taken from a question (`context_keys`).
- What cannot be decided is a denial with a reason, not an error.
"""
