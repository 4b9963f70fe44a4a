"""Instance metadata and container credentials: what a machine may read about itself.

Owns which machine asks, its session tokens (IMDSv2), the tree of categories as a table, and the credentials of
machines and containers: minted by the one mint, for a role whose trust policy the gate has judged, cached until half of
their life has passed. Never speaks HTTP (`broker.web.metadata`) and makes no signing keys (`broker.sealing.identity`).
Obeys the EC2 User Guide, "Instance metadata and user data", and the ECS agent's task credentials endpoint.

    instances.py           which machine asks, by its address
    binding.py             an instance proves itself by a nonce, and is known by its address from then on
    session_tokens.py      IMDSv2 tokens: sealed, bound to their machine, the same for every worker
    categories.py          the tree: a table from paths to functions of the instance record
    profiles.py            instance -> instance profile -> role, as the store has it now
    credentials.py         credentials: minted, cached, renewed; one record in the journal for each mint
    containers.py          which container asks, and for which role
    reading.py             from a peer, a proof and a path to an answer
    throttle.py            how often one machine may ask
    identity_documents.py  the instance identity document and its signatures
    texts.py               JSON as the metadata service prints it

A change in the store is seen by the next read: everything that is cached holds the revisions at which it was read.
While the store cannot be read, reads are refused and nothing is served from a cache; a client goes on with the
credentials that it has.
"""
