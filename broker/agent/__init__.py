"""The agent of a node: credentials for who asks there, without the store and without the master key.

Owns the metadata endpoints that SDKs know (instances at 169.254.169.254, containers at 169.254.170.2, pods at
169.254.170.23), who asks at each, and a cache of credentials that is renewed ahead of time. It proves itself to a
broker with credentials of its own, as any SDK finds them, and gets for each asker what the broker allows: it decides
nothing and mints nothing. While the broker is away it serves what is still valid, and never longer.

    settings.py   what the operator writes: listeners, and who may have which role
    schedule.py   when to renew, when to try again: pure, every decision with its randomness as an argument
    cache.py      credentials by asker: fetched once, renewed ahead, kept while the broker is away
    upstream.py   the broker, asked by botocore in threads
    pods.py       what is refused of a pod's token before the broker is asked
    handlers.py   from a request to an answer, one handler for each kind of listener
    answers.py    the answers' texts
    sockets.py    listening, at sockets of systemd where it gives some
    profiles.py   for a laptop: a port and a token for each profile of ~/.aws/config
    running.py    composes an agent and runs it
"""
