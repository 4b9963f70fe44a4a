"""What `broker apply` reads and does: a file declares accounts, entities and instances; the store is changed to match.

`source` parses YAML or TOML into plain values and their line numbers, `reading` converts those into the structs of
`declared`, and `settling` compares them with the store and performs the differences. One table (`entities`, of
`properties`) describes the properties of each kind of entity; create, settle and prune all use it. Every IAM entity is
changed by the broker's own IAM operations, as the account's root, so every rule of IAM is applied; accounts, instances
and the organization have no operations here and are written as records. An attempt is one transaction: a refused apply
changes nothing, and a dry run does the same work without the commit.

The clock, entropy, the environment and the maker of audit events are arguments (`attempt.Means`). This room never
commits and never prints: the command does.
"""
