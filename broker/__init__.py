"""The map of the house: floors, and who may import whom. No code lives here.

    __main__, commands       the command line: one file per command
    app                      composition root
    system                   the clock and entropy of the process, for `app` and commands alone
    config                   settings, checked at load
    declaration              what `broker apply` reads and makes true: accounts, entities, instances, the organization
    agent                    credentials on a node, without the store: an endpoint for SDKs, a client of a broker
    web                      the HTTP of machines: requests in, responses out
    iam | organizations | simulator | sts | metadata | authorize | portal | sso | signin | trail |
    analyzer | pod_identity | identity_pools | identity_store | roles_anywhere | gateway
                             what the broker does, one file per noun or flow
    event_history | hygiene  what CloudTrail's LookupEvents shows: an account's records, by the gate; what of an
                             account's credentials, policies and roles should be mended
    performing | federated_roles | approvals | listening
                             an operation for a caller that is proven already, with its record; the roles of people of
                             providers; who a client acts for; aiohttp's server, of the portal and the gateway
    own_roles | permission_use
                             whose roles are these; which permissions requests need, and which are not used
    operation | paging       prepare, gate, handle: what an operation is given and must declare; pages of a list
    access | credentials | federation              the one gate, the one mint, providers' keys
    storage | audit | telemetry                    memory that lasts; what happened; what a collector is told
    policy | sigv4 | sealing | assertions | protocol      pure: judge, verify, seal, parse
    names | errors | strict_json | causes | yaml_text | trace_context
                             how things are called; how a request is refused; strict reading of JSON; errors of the
                             system as sentences for the operator
    cache | version          the one bounded cache: by weight, and by revisions; which broker this is

Imports go downwards only; what stands beside a `|` never imports its neighbour. The three lowest floors are pure:
`now` and entropy are arguments. `pyproject.toml` holds these rules as import contracts, `tests/test_house.py`
the ones that imports cannot show.

Changes to the proposal in `shared/design/house.md`, each on purpose:

- `commands/` is a room of its own: ten commands in `__main__.py` would be one long file; `__main__` only starts it.
- An engine's version is one revision per *partition* (an account, mostly) instead of one per key: one number
  then guards a whole transaction, scans and phantoms included, and tells a cache in one look whether it is true.
- `web/` speaks HTTP through httptools (llhttp) and a connection of its own instead of aiohttp's server: a request
  whose answer takes 100 microseconds cannot spend as many again on being received, and the limits of a connection
  (sizes, times, what happens at the end) are one file that says them all.
- `performing.py` is a floor of its own: it is given what operations need, and pages use it as `web/` does.
- `cache.py` lies below everything, since caches are on every floor: what is not `functools.lru_cache` of a pure
  function is a `Cache`.
- `names/secret.py` holds `SecretKey`, which every floor above needs.
"""
