"""The credential cache: role credentials for a machine or a container, minted once and renewed at half life.

1. Credentials of a role are delivered only where its trust policy lets the delivering service assume it. The gate
   judges that at every read whose facts have changed, and before every mint.
2. New credentials are minted when half of their life has passed, and always before less than MINIMUM_LEFT remains:
   SDKs treat credentials that expire sooner as an outage (botocore extends them) or fetch them at every call.
3. Concurrent reads cause one mint: nothing is awaited between the look-up and the mint, and only one of a broker's
   workers serves metadata (`commands/serve.py`).
4. Without a journal record nothing is minted. Where the journal fails, cached ones are served while they are good.
5. `MaxSessionDuration` is not applied, as with EC2: it limits callers of AssumeRole.
"""

import logging
from collections.abc import Awaitable, Callable, Mapping

import msgspec

from broker.access.caller import Caller
from broker.access.facts import RequestFacts
from broker.access.gate import Gate
from broker.access.resource import Resource
from broker.access.revocations import find_revocation, issued_from
from broker.access.trust import compiled_trust_policy
from broker.audit.event import Event, UserIdentity, begin_event, iso_time, uuid_text
from broker.audit.journal import Journal, JournalUnavailable
from broker.credentials.mint import Mint, TemporaryCredentials
from broker.errors import Refusal, service_unavailable
from broker.names.principal import AssumedRole, Service
from broker.storage.engine import EngineUnavailable
from broker.storage.records import Role
from broker.storage.session_records import Revocations
from broker.storage.store import REVOCATIONS, Conflict, Store, Transaction

EC2 = "ec2.amazonaws.com"
ECS_TASKS = "ecs-tasks.amazonaws.com"

MINIMUM_LEFT = 20 * 60  # seconds
SHORTEST_SESSION, LONGEST_SESSION = MINIMUM_LEFT + 10, 43_200  # seconds

_AUDIT_REFUSALS_EVERY = 60.0  # seconds, so that a machine that is refused does not fill the journal
_NO_CONTEXT: Mapping[str, tuple[str, ...]] = {}

_logger = logging.getLogger("broker.metadata")


class RoleAssumption(msgspec.Struct, frozen=True, kw_only=True):
    """The gate's answer: `service` may (`allowed`) or may not assume `role` for the machine or container `key`.

    `revocations` are those of the role's account: what was minted before one is delivered no more.
    """

    key: str
    service: str
    role: Role
    session_name: str
    region: str
    allowed: bool
    role_delivery: str | None = None
    instance_id: str | None = None
    context: Mapping[str, tuple[str, ...]] = _NO_CONTEXT
    revocations: Revocations | None = None

    @property
    def issued_from(self) -> int:
        """Epoch seconds; a node whose clock is behind the one that revoked must not mint what is revoked already."""
        return issued_from(self.revocations, self.role.role_id)

    def revokes(self, minted: TemporaryCredentials) -> bool:
        found = find_revocation(self.revocations, minted.access_key_id, self.role.role_id, minted.issued_at)
        return found is not None

    @property
    def session(self) -> AssumedRole:
        role = self.role
        return AssumedRole(role.account_id, role.role_name, role.role_id, self.session_name, role.path)


JudgeAgain = Callable[[Transaction], Awaitable[RoleAssumption | None]]


class CachedCredentials(msgspec.Struct, kw_only=True):
    """Credentials in the cache; `was_read` since they were minted. Times in epoch seconds.

    `is_recorded`: their record is as durable as it has to be.
    `sealed_by` is the id of the key that sealed their token: when it is dropped, the credentials become invalid.
    """

    session: AssumedRole
    credentials: TemporaryCredentials
    sealed_by: bytes
    renew_at: float
    judge_again: JudgeAgain
    was_read: bool = False
    is_recorded: bool = False

    @property
    def good_until(self) -> float:
        return self.credentials.expires_at - MINIMUM_LEFT


async def judge_assumption(
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
) -> RoleAssumption:
    """Ask the gate whether `service` may assume `role`, which only the role's trust policy can allow."""
    trust = compiled_trust_policy(gate.library, role)
    keys = {"sts:RoleSessionName": session_name}
    decision = await gate.decide(
        store,
        Caller(principal=Service(service), account="", source_arn=source_arn),
        RequestFacts(now=now, request_id="", source_ip="", region=region, service="sts"),
        "sts:AssumeRole",
        Resource(role.arn, role.account_id, role.tags, keys, trust),
    )
    return RoleAssumption(
        key=key,
        service=service,
        role=role,
        session_name=session_name,
        region=region,
        allowed=decision.allowed,
        role_delivery=role_delivery,
        instance_id=instance_id,
        context=context,
        revocations=await store.find(REVOCATIONS, role.account_id),
    )


class CredentialCache:
    """Credentials by the key of their RoleAssumption; `session_seconds` is the life of new ones."""

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
        # Half of the life; of a short life less, so that MINIMUM_LEFT remains.
        self._renew_after = min(session_seconds / 2, 0.9 * (session_seconds - MINIMUM_LEFT))
        self._cached: dict[str, CachedCredentials] = {}
        self._refusals_audited: dict[str, float] = {}

    def credentials(self, assumption: RoleAssumption, judge_again: JudgeAgain) -> CachedCredentials | None:
        """The credentials to deliver; None where the role may not be assumed. Raises Refusal ServiceUnavailable.

        `assumption` was judged for this read. `judge_again` is called before a renewal in the background.
        """
        now = self._clock()
        if not assumption.allowed:
            self._cached.pop(assumption.key, None)
            self._audit_refusal(assumption, now)
            return None
        cached = self._cached.get(assumption.key)
        if cached is not None and not self._is_usable(cached, assumption, now):
            cached = None
        if cached is None or now >= cached.renew_at:
            cached = self._mint_new(assumption, judge_again, now, cached)
        cached.was_read = True
        return cached

    async def recorded(self, cached: CachedCredentials | None) -> None:
        """Wait until the record of `cached`, or of its refusal, is as durable as the journal's setting wants it.

        Raises Refusal ServiceUnavailable.
        """
        if cached is not None and cached.is_recorded:
            return
        try:
            await self._journal.synced()
        except JournalUnavailable as error:
            raise service_unavailable(str(error)) from None
        if cached is not None:
            cached.is_recorded = True

    def _is_usable(self, cached: CachedCredentials, assumption: RoleAssumption, now: float) -> bool:
        """Whether they are of this session, not revoked, live long enough, and their token can be opened."""
        opens = self._mint.keyring().find(cached.sealed_by) is not None
        is_own = cached.session == assumption.session and not assumption.revokes(cached.credentials)
        return opens and is_own and now < cached.good_until

    async def renew(self, store: Store) -> None:
        """Renew, in the background, credentials that were read and are due; evict those that expire."""
        now = self._clock()
        self._refusals_audited = {key: at for key, at in self._refusals_audited.items() if at > now}
        for key, cached in list(self._cached.items()):
            if now >= cached.good_until:
                self._cached.pop(key, None)
            elif cached.was_read and now >= cached.renew_at:
                await self._renew(store, key, cached)

    async def _renew(self, store: Store, key: str, cached: CachedCredentials) -> None:
        try:
            assumption = await store.transact(cached.judge_again)
        except (EngineUnavailable, Conflict, Refusal) as error:
            _logger.warning("credentials of %s are not renewed yet: %s", key, error)
            return
        if self._cached.get(key) is not cached:
            return  # a read has renewed or evicted them meanwhile
        if assumption is None or not assumption.allowed:
            del self._cached[key]
        else:
            self._mint_new(assumption, cached.judge_again, self._clock(), cached)

    def _mint_new(
        self,
        assumption: RoleAssumption,
        judge_again: JudgeAgain,
        now: float,
        previous: CachedCredentials | None,
    ) -> CachedCredentials:
        """New credentials, journalled and cached; `previous` where the journal cannot be written."""
        try:
            self._journal.catch_up()  # else each read would mint, fail, and leave a record to write
        except JournalUnavailable as error:
            return _previous_or_refuse(previous, assumption, error)
        minted = self._mint.assumed_role(
            assumption.session,
            now=max(now, assumption.issued_from),
            duration=self._session_seconds,
            role_delivery=assumption.role_delivery,
            instance_id=assumption.instance_id,
            context=assumption.context,
        )
        event = self._event(assumption, now)
        event.response_elements = {
            "credentials": {
                "accessKeyId": minted.access_key_id,
                "expiration": iso_time(minted.expires_at),
            },
            "assumedRoleUser": {"assumedRoleId": assumption.session.user_id, "arn": assumption.session.arn},
        }
        try:
            self._journal.write(event)
        except JournalUnavailable as error:
            return _previous_or_refuse(previous, assumption, error)
        cached = CachedCredentials(
            session=assumption.session,
            credentials=minted,
            sealed_by=self._mint.keyring().primary.id,
            renew_at=now + self._renew_after,
            judge_again=judge_again,
        )
        self._cached[assumption.key] = cached
        return cached

    def _audit_refusal(self, assumption: RoleAssumption, now: float) -> None:
        if self._refusals_audited.get(assumption.key, 0) > now:
            return
        self._refusals_audited[assumption.key] = now + _AUDIT_REFUSALS_EVERY
        event = self._event(assumption, now)
        event.error_code = "AccessDenied"
        event.error_message = (
            f"the trust policy of {assumption.role.arn} does not let {assumption.service} assume it"
        )
        try:
            self._journal.write(event)
        except JournalUnavailable as error:
            raise service_unavailable(str(error)) from None

    def _event(self, assumption: RoleAssumption, now: float) -> Event:
        """An AssumeRole event of a service ("CloudTrail userIdentity element", AWSService)."""
        random = self._entropy(32)
        event = begin_event(now, uuid_text(random[:16]), assumption.service, assumption.service, random[16:])
        event.user_identity = UserIdentity(type="AWSService", invoked_by=assumption.service)
        event.event_source, event.event_name = "sts.amazonaws.com", "AssumeRole"
        event.aws_region = assumption.region
        event.read_only = True
        event.recipient_account_id = assumption.role.account_id
        event.request_parameters = {
            "roleArn": assumption.role.arn,
            "roleSessionName": assumption.session_name,
            "durationSeconds": self._session_seconds,
        }
        return event


def _previous_or_refuse(
    previous: CachedCredentials | None, assumption: RoleAssumption, error: JournalUnavailable
) -> CachedCredentials:
    if previous is None:
        raise service_unavailable(str(error)) from None
    _logger.error("credentials of %s are not renewed: %s", assumption.key, error)
    return previous
