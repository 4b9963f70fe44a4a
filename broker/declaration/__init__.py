"""What `broker apply` reads and does: a file that says which accounts, entities and instances there shall be.

`source` turns YAML or TOML into plain values that know where they stand, `reading` those into the structs of
`declared`; `settling` compares them with the store and performs what is missing. What each kind of entity has is one
table (`entities`, of `properties`): by it entities are made, settled and pruned. Every IAM entity is changed by the
broker's own IAM operations, as the account's root, so no rule of IAM can be passed by; accounts, instances and the
organization, which have no operations here, are written as records. All of it is one transaction per attempt: an apply
that is refused changes nothing, and a dry run is the same work without the commit.

The clock, entropy, the environment and the records of changes are handed in (`attempt.Means`). Never commits, never
prints: the command does.
"""
