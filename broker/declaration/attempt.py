"""One attempt to apply a declaration: operations performed in one transaction, and their changes, events and keys."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import msgspec

from broker.access.caller import root_caller
from broker.access.facts import RequestFacts
from broker.access.gate import Gate
from broker.audit.event import Event
from broker.credentials.access_keys import NewKey
from broker.credentials.mint import Mint
from broker.credentials.password_changes import NewPassword
from broker.credentials.passwords import Passwords
from broker.declaration.declared import Document
from broker.declaration.source import DeclarationError
from broker.errors import Refusal
from broker.federation.federation import Federation
from broker.identity_store.tokens import NewBearerToken
from broker.names.secret import SecretKey
from broker.operation import Call, Quotas, find_operation, model, perform
from broker.protocol.json_1_1 import read_members
from broker.protocol.redaction import audit_parameters
from broker.protocol.request import read_request
from broker.storage.collection import Collection, R
from broker.storage.store import Transaction

DEFAULT_REGION = "us-east-1"


class Change(msgspec.Struct, frozen=True):
    """One line of the difference: `+` created, `~` changed, `-` deleted; `account` is empty for the organization."""

    account: str
    sign: str
    text: str


class Means(msgspec.Struct, frozen=True, kw_only=True):
    """What an attempt needs from the command.

    `new_event(account, action, parameters)` begins the audit event of a change; the account is "" for none. File names
    in the declaration are relative to `folder`; `environment` has the variables that it may name.
    `one_time_password(account, user)` is the same in every attempt, for its hash takes long. `advance()` is called for
    each entity of the file that was looked at, for a progress bar.
    """

    gate: Gate
    mint: Mint
    federation: Federation
    passwords: Passwords
    quotas: Quotas
    service_principals: frozenset[str]
    entropy: Callable[[int], bytes]
    new_event: Callable[[str, str, dict[str, Any] | None], Event]
    folder: Path
    environment: Mapping[str, str]
    one_time_password: Callable[[str, str], SecretKey]
    advance: Callable[[], None]


class Regional(msgspec.Struct, frozen=True):
    """Where operations of a service other than IAM act."""

    account: str
    service: str
    region: str = DEFAULT_REGION


class _Performed(msgspec.Struct, frozen=True):
    account: str
    service: str
    operation: str
    region: str = DEFAULT_REGION
    entropy: Callable[[int], bytes] | None = None


class Attempt:
    """What one run has done so far; discarded where the commit has a conflict and the work is retried."""

    def __init__(self, means: Means, store: Transaction, now: int, *, prune: bool = False) -> None:
        """`now` in epoch seconds."""
        self.means = means
        self.store = store
        self.now = now
        self.prune = prune
        self.changes: list[Change] = []
        self.events: list[Event] = []
        self.keys: list[NewKey] = []
        self.passwords: list[NewPassword] = []
        self.bearer_tokens: list[NewBearerToken] = []
        # Account and name of roles whose trust policy names roles not created yet: they trust no one until it is set.
        self.waiting_roles: set[tuple[str, str]] = set()

    async def perform(
        self,
        account: str,
        operation: str,
        parameters: dict[str, Any],
        sign: str,
        text: str,
        where: str,
        document: Document | None = None,
    ) -> Any:
        """Perform an IAM operation as the account's root; raises DeclarationError with AWS's refusal.

        The error names `where`, or the location of `document` where the document is malformed. `parameters` have the
        wire's names and are checked against the constraints of the service model.
        """
        try:
            request = read_request(model("iam"), operation, form_of(parameters))
            return await self._perform(_Performed(account, "iam", operation), request, sign, text)
        except Refusal as refusal:
            if document is not None and refusal.code == "MalformedPolicyDocument":
                where = document.where
            raise _refused(where, operation, refusal) from None

    async def perform_json(
        self,
        at: "Regional",
        operation: str,
        members: dict[str, Any],
        sign: str,
        text: str,
        where: str,
        entropy: Callable[[int], bytes] | None = None,
    ) -> Any:
        """As `perform`, of another service, whose requests are JSON. `entropy` is given where it is not random."""
        performed = _Performed(at.account, at.service, operation, at.region, entropy)
        try:
            request = read_members(model(at.service), operation, members)
            return await self._perform(performed, request, sign, text)
        except Refusal as refusal:
            raise _refused(where, operation, refusal) from None

    async def _perform(self, performed: "_Performed", request: Any, sign: str, text: str) -> Any:
        """Raises Refusal."""
        account, service, operation = performed.account, performed.service, performed.operation
        event = self.means.new_event(account, f"{service}:{operation}", None)
        event.aws_region = performed.region
        event.request_parameters = audit_parameters(model(service), operation, request)
        answer = await perform(find_operation(service, operation), self._call(performed, event), request)
        self.events.append(event)
        if text:
            self.changes.append(Change(account, sign, text))
        return answer

    def put(self, account: str, collection: Collection[R], record: R, sign: str, text: str) -> None:
        """Write a record that no operation writes; `account` is its owner, not its partition."""
        self.store.put(collection, account, record)
        self.note(account, f"broker:Put{type(record).__name__}", sign, text)

    def note(self, account: str, action: str, sign: str, text: str) -> None:
        self.changes.append(Change(account, sign, text))
        self.events.append(self.means.new_event(account, action, {"change": f"{sign} {text}"}))

    def _call(self, performed: "_Performed", event: Event) -> Call:
        facts = RequestFacts(
            now=self.now,
            request_id=event.request_id,
            source_ip=event.source_ip,
            user_agent=event.user_agent,
            secure_transport=True,
            region=performed.region,
            service=performed.service,
        )
        return Call(
            caller=root_caller(performed.account),
            facts=facts,
            store=self.store,
            gate=self.means.gate,
            mint=self.means.mint,
            entropy=performed.entropy or self.means.entropy,
            quotas=self.means.quotas,
            federation=self.means.federation,
            passwords=self.means.passwords,
            service_principals=self.means.service_principals,
        )


def _refused(where: str, operation: str, refusal: Refusal) -> DeclarationError:
    reason = refusal.reason or refusal.message
    return DeclarationError(f"{where}: {operation} was refused: {refusal.code}: {reason}")


def form_of(parameters: dict[str, Any]) -> dict[str, str]:
    """Parameters as a query form carries them; None is left out."""
    form: dict[str, str] = {}
    for name, value in parameters.items():
        if isinstance(value, str):
            form[name] = value
        elif isinstance(value, bool):
            form[name] = "true" if value else "false"
        elif isinstance(value, int):
            form[name] = str(value)
        elif isinstance(value, dict):
            form.update({f"{name}.{key}": text for key, text in form_of(value).items()})
        elif isinstance(value, list):
            members = {str(number): member for number, member in enumerate(value, 1)}
            form.update({f"{name}.member.{key}": text for key, text in form_of(members).items()})
    return form


def tag_list(tags: dict[str, str]) -> list[dict[str, str]]:
    return [{"Key": key, "Value": value} for key, value in tags.items()]
