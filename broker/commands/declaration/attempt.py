"""One attempt at a declaration: operations performed in one transaction, and what they came to."""

from pathlib import Path
from typing import Any

import msgspec

from broker.access.caller import root_caller
from broker.access.facts import RequestFacts
from broker.app import Broker, clock, entropy
from broker.audit.event import Event
from broker.commands.declaration.declared import Document
from broker.commands.declaration.source import DeclarationError
from broker.commands.records import SOURCE_ADDRESS, NewKey, command_event
from broker.errors import Refusal
from broker.operation import Call, find_operation, model, perform
from broker.protocol.redaction import audit_parameters
from broker.protocol.request import read_request
from broker.storage.collection import Collection, R
from broker.storage.records import Group, Role, User
from broker.storage.store import GROUPS, ROLES, USERS, Transaction


class Change(msgspec.Struct, frozen=True):
    """One line of the difference: `+` made, `~` changed, `-` taken away; `account` is empty for what has none."""

    account: str
    sign: str
    text: str


class Attempt:
    """What one run of the work has done so far; thrown away where the commit meets a conflict."""

    def __init__(
        self, broker: Broker, store: Transaction, command: str, folder: Path, *, prune: bool = False
    ) -> None:
        """`folder` is what files named in the declaration are relative to."""
        self.store = store
        self.folder = folder
        self.prune = prune
        self.quotas = broker.settings.quotas
        self.now = int(clock())
        self.changes: list[Change] = []
        self.events: list[Event] = []
        self.keys: list[NewKey] = []
        self._broker = broker
        self._command = command

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

        A refusal names `where`, or the place of `document`, if it is that which is malformed.

        `parameters` are those of the wire, so they keep every constraint that the service model knows.
        """
        service = model("iam")
        event = command_event(self._command, account, f"iam:{operation}", None)
        try:
            request = read_request(service, operation, form_of(parameters))
            event.request_parameters = audit_parameters(service, operation, request)
            answer = await perform(find_operation("iam", operation), self._call(account, event), request)
        except Refusal as refusal:
            reason = refusal.reason or refusal.message
            if document is not None and refusal.code == "MalformedPolicyDocument":
                where = document.where
            raise DeclarationError(f"{where}: {operation} was refused: {refusal.code}: {reason}") from None
        self.events.append(event)
        if text:
            self.changes.append(Change(account, sign, text))
        return answer

    async def find_holder(self, account: str, word: str, name: str) -> User | Group | Role:
        """The user, group or role (`word`) of that name, which must have been made by now."""
        collection: Any = {"User": USERS, "Group": GROUPS, "Role": ROLES}[word]
        record: User | Group | Role | None = await self.store.find(collection, account, name)
        assert record is not None, f"{word} {name} is settled before its policies"
        return record

    def put(self, account: str, collection: Collection[R], record: R, sign: str, text: str) -> None:
        """Write a record that no operation makes; `account` is whose it is, not its partition."""
        self.store.put(collection, account, record)
        self.note(account, f"broker:Put{type(record).__name__}", sign, text)

    def note(self, account: str, action: str, sign: str, text: str) -> None:
        self.changes.append(Change(account, sign, text))
        self.events.append(command_event(self._command, account, action, {"change": f"{sign} {text}"}))

    def _call(self, account: str, event: Event) -> Call:
        facts = RequestFacts(
            now=self.now,
            request_id=event.request_id,
            source_ip=SOURCE_ADDRESS,
            user_agent=event.user_agent,
            secure_transport=True,
            service="iam",
        )
        return Call(
            caller=root_caller(account),
            facts=facts,
            store=self.store,
            gate=self._broker.gate,
            mint=self._broker.mint,
            entropy=entropy,
            quotas=self.quotas,
            federation=self._broker.federation,
            service_principals=frozenset(self._broker.settings.policies.service_principals),
        )


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
