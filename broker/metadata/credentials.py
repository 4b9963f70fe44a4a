"""Deliveries: credentials of a role for a machine or a container, minted once and kept until it is time for others.

The law:

1. Nobody has credentials of a role whose trust policy does not let the delivering service assume it. The gate judges
   that at every read whose facts have changed, and before every mint.
2. New credentials are minted when half of a life has passed, and always while MINIMUM_LEFT remains: SDKs take what
   expires sooner for an outage (botocore extends it) or fetch it again and again.
3. One mint, however many read at the same moment: nothing is awaited between the look and the mint, and one of a
   broker's workers alone serves metadata (`commands/serve.py`).
4. No journal record, no mint. Where the journal fails, credentials that are still good are served on.
5. `MaxSessionDuration` is no limit here, as with EC2: it limits those who call AssumeRole.
"""

import logging
from collections.abc import Awaitable, Callable, Mapping

import msgspec

from broker.access.caller import Caller
from broker.access.facts import RequestFacts
from broker.access.gate import Gate
from broker.access.resource import Resource
from broker.access.trust import compiled_trust_policy
from broker.audit.event import Event, UserIdentity, begin_event, iso_time, uuid_text
from broker.audit.journal import Journal, JournalUnavailable
from broker.credentials.mint import Mint, TemporaryCredentials
from broker.errors import Refusal, service_unavailable
from broker.names.principal import AssumedRole, Service
from broker.storage.engine import EngineUnavailable
from broker.storage.records import Role
from broker.storage.store import Conflict, Store, Transaction

EC2 = "ec2.amazonaws.com"
ECS_TASKS = "ecs-tasks.amazonaws.com"

MINIMUM_LEFT = 20 * 60  # seconds
SHORTEST_SESSION, LONGEST_SESSION = MINIMUM_LEFT + 10, 43_200  # seconds

_AUDIT_REFUSALS_EVERY = 60.0  # seconds: a machine that asks in vain does not fill the journal
_NO_CONTEXT: Mapping[str, tuple[str, ...]] = {}

_logger = logging.getLogger("broker.metadata")


class Grant(msgspec.Struct, frozen=True, kw_only=True):
    """A judged delivery: `service` may (`allowed`) or may not assume `role` for the machine or container `key`."""

    key: str
    service: str
    role: Role
    session_name: str
    region: str
    allowed: bool
    role_delivery: str | None = None
    instance_id: str | None = None
    context: Mapping[str, tuple[str, ...]] = _NO_CONTEXT

    @property
    def session(self) -> AssumedRole:
        role = self.role
        return AssumedRole(role.account_id, role.role_name, role.role_id, self.session_name, role.path)


Regrant = Callable[[Transaction], Awaitable[Grant | None]]


class Kept(msgspec.Struct, kw_only=True):
    """Credentials that are being delivered; `was_read` since they were minted. Times in epoch seconds.

    `is_recorded`: their record is as durable as it has to be.
    `sealed_by` is the id of the key that closed their token: dropped, it takes them with it.
    """

    session: AssumedRole
    credentials: TemporaryCredentials
    sealed_by: bytes
    renew_at: float
    regrant: Regrant
    was_read: bool = False
    is_recorded: bool = False

    @property
    def good_until(self) -> float:
        return self.credentials.expires_at - MINIMUM_LEFT


async def grant(
    store: Transaction,
    gate: Gate,
    *,
    key: str,
    service: str,
    role: Role,
    session_name: str,
    source_arn: str,
    region: str,
    now: float,
    role_delivery: str | None = None,
    instance_id: str | None = None,
    context: Mapping[str, tuple[str, ...]] = _NO_CONTEXT,
) -> Grant:
    """Ask the gate whether `service` may assume `role`: its trust policy is the only one that can say so."""
    trust = compiled_trust_policy(gate.library, role)
    keys = {
        "sts:RoleSessionName": session_name,
        "aws:SourceAccount": role.account_id,
        "aws:SourceArn": source_arn,
        "aws:PrincipalServiceName": service,
    }
    decision = await gate.decide(
        store,
        Caller(principal=Service(service), account=""),
        RequestFacts(now=now, request_id="", source_ip="", region=region, service="sts"),
        "sts:AssumeRole",
        Resource(role.arn, role.account_id, role.tags, keys, trust),
    )
    return Grant(
        key=key,
        service=service,
        role=role,
        session_name=session_name,
        region=region,
        allowed=decision.allowed,
        role_delivery=role_delivery,
        instance_id=instance_id,
        context=context,
    )


class Deliveries:
    """What is being delivered, by grant key; `session_seconds` is how long new credentials live."""

    def __init__(
        self,
        mint: Mint,
        journal: Journal,
        clock: Callable[[], float],
        entropy: Callable[[int], bytes],
        session_seconds: int,
    ) -> None:
        if not SHORTEST_SESSION <= session_seconds <= LONGEST_SESSION:
            raise ValueError(f"credentials live {SHORTEST_SESSION} to {LONGEST_SESSION} seconds")
        self._mint = mint
        self._journal = journal
        self._clock = clock
        self._entropy = entropy
        self._session_seconds = session_seconds
        # Half of the life; of a short one, as much as leaves room for the minimum.
        self._renew_after = min(session_seconds / 2, 0.9 * (session_seconds - MINIMUM_LEFT))
        self._kept: dict[str, Kept] = {}
        self._refusals_audited: dict[str, float] = {}

    def credentials(self, granted: Grant, regrant: Regrant) -> Kept | None:
        """What to deliver now; None where the role may not be assumed. Raises Refusal ServiceUnavailable.

        `granted` is as judged just now. `regrant` judges anew, when it is time for other credentials.
        """
        now = self._clock()
        if not granted.allowed:
            self._kept.pop(granted.key, None)
            self._audit_refusal(granted, now)
            return None
        kept = self._kept.get(granted.key)
        if kept is not None and not self._are_good(kept, granted, now):
            kept = None
        if kept is None or now >= kept.renew_at:
            kept = self._minted(granted, regrant, now, kept)
        kept.was_read = True
        return kept

    async def recorded(self, kept: Kept | None) -> None:
        """Wait until the record of `kept`, or of its refusal, is as durable as the journal's setting wants it.

        Raises Refusal ServiceUnavailable.
        """
        if kept is not None and kept.is_recorded:
            return
        try:
            await self._journal.synced()
        except JournalUnavailable as error:
            raise service_unavailable(str(error)) from None
        if kept is not None:
            kept.is_recorded = True

    def _are_good(self, kept: Kept, granted: Grant, now: float) -> bool:
        """Whether what is kept is of this very session, long enough, and opens."""
        opens = self._mint.keyring().find(kept.sealed_by) is not None
        return opens and kept.session == granted.session and now < kept.good_until

    async def renew(self, store: Store) -> None:
        """Mint anew, in the background, what was read and is past half of its life; forget what is over."""
        now = self._clock()
        self._refusals_audited = {key: at for key, at in self._refusals_audited.items() if at > now}
        for key, kept in list(self._kept.items()):
            if now >= kept.good_until:
                self._kept.pop(key, None)
            elif kept.was_read and now >= kept.renew_at:
                await self._renew(store, key, kept)

    async def _renew(self, store: Store, key: str, kept: Kept) -> None:
        try:
            granted = await store.transact(kept.regrant)
        except (EngineUnavailable, Conflict, Refusal) as error:
            _logger.warning("credentials of %s are not renewed yet: %s", key, error)
            return
        if self._kept.get(key) is not kept:
            return  # a reader was faster
        if granted is None or not granted.allowed:
            del self._kept[key]
        else:
            self._minted(granted, kept.regrant, self._clock(), kept)

    def _minted(self, granted: Grant, regrant: Regrant, now: float, previous: Kept | None) -> Kept:
        """New credentials, journalled and kept; `previous` again where the journal cannot be written."""
        try:
            self._journal.catch_up()  # else each read would mint in vain, and leave a record of it
        except JournalUnavailable as error:
            return _instead(previous, granted, error)
        minted = self._mint.assumed_role(
            granted.session,
            now=now,
            duration=self._session_seconds,
            role_delivery=granted.role_delivery,
            instance_id=granted.instance_id,
            context=granted.context,
        )
        event = self._event(granted, now)
        event.response_elements = {
            "credentials": {
                "accessKeyId": minted.access_key_id,
                "expiration": iso_time(minted.expires_at),
            },
            "assumedRoleUser": {"assumedRoleId": granted.session.user_id, "arn": granted.session.arn},
        }
        try:
            self._journal.write(event)
        except JournalUnavailable as error:
            return _instead(previous, granted, error)
        kept = Kept(
            session=granted.session,
            credentials=minted,
            sealed_by=self._mint.keyring().primary.id,
            renew_at=now + self._renew_after,
            regrant=regrant,
        )
        self._kept[granted.key] = kept
        return kept

    def _audit_refusal(self, granted: Grant, now: float) -> None:
        if self._refusals_audited.get(granted.key, 0) > now:
            return
        self._refusals_audited[granted.key] = now + _AUDIT_REFUSALS_EVERY
        event = self._event(granted, now)
        event.error_code = "AccessDenied"
        event.error_message = (
            f"the trust policy of {granted.role.arn} does not let {granted.service} assume it"
        )
        try:
            self._journal.write(event)
        except JournalUnavailable as error:
            raise service_unavailable(str(error)) from None

    def _event(self, granted: Grant, now: float) -> Event:
        """AssumeRole as a service makes it ("CloudTrail userIdentity element", AWSService)."""
        random = self._entropy(32)
        event = begin_event(now, uuid_text(random[:16]), granted.service, granted.service, random[16:])
        event.user_identity = UserIdentity(type="AWSService", invoked_by=granted.service)
        event.event_source, event.event_name = "sts.amazonaws.com", "AssumeRole"
        event.aws_region = granted.region
        event.read_only = True
        event.recipient_account_id = granted.role.account_id
        event.request_parameters = {
            "roleArn": granted.role.arn,
            "roleSessionName": granted.session_name,
            "durationSeconds": self._session_seconds,
        }
        return event


def _instead(previous: Kept | None, granted: Grant, error: JournalUnavailable) -> Kept:
    if previous is None:
        raise service_unavailable(str(error)) from None
    _logger.error("credentials of %s are not renewed: %s", granted.key, error)
    return previous
