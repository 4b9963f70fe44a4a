"""Instance metadata and container credentials: what a machine may learn of itself.

Owns which machine asks, its session tokens (IMDSv2), the tree of categories as a table, and the credentials that
machines and containers are given: minted by the one mint, for a role whose trust policy the one gate has judged, kept
until half of their life has passed. Never speaks HTTP (`broker.web.metadata`) and never signs with keys of its own
making (`broker.sealing.identity`). Obeys the EC2 User Guide, "Instance metadata and user data", and the ECS agent's
task credentials endpoint.

    instances.py           which machine asks, by its address
    session_tokens.py      IMDSv2 tokens: sealed, bound to their machine, the same for every worker
    categories.py          the tree: a table from paths to functions of the instance record
    profiles.py            instance -> instance profile -> role, as true now
    credentials.py         deliveries: minted, kept, renewed; one record in the journal for each mint
    containers.py          which container asks, and for which role
    reading.py             from a peer, a proof and a path to an answer
    throttle.py            how often one machine may ask
    identity_documents.py  the instance identity document and its signatures
    texts.py               JSON as the metadata service prints it

What changed in the store is seen by the next read: whatever is kept stands beside the revisions at which it was true,
and a store that cannot be asked is no reason to trust what was kept. Reads are refused then; a client that holds good
credentials goes on with them meanwhile.
"""
