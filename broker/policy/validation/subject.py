"""What checks look at: the statements of a text with their parts, each at its node, however malformed the rest is."""

import enum
import re
from collections.abc import Collection, Iterator

import msgspec

from broker.policy.elements import OLD_VERSION, PolicyKind
from broker.policy.validation.nodes import JsonMember, JsonNode


class ValidatedAs(enum.Enum):
    """What a text is validated as."""

    IDENTITY = "identity"
    RESOURCE = "resource"
    TRUST = "trust"
    SCP = "scp"
    RCP = "rcp"


VALIDATED_AS: dict[PolicyKind, ValidatedAs] = {
    PolicyKind.IDENTITY: ValidatedAs.IDENTITY,
    PolicyKind.BOUNDARY: ValidatedAs.IDENTITY,
    PolicyKind.SESSION: ValidatedAs.IDENTITY,
    PolicyKind.RESOURCE: ValidatedAs.RESOURCE,
    PolicyKind.ENDPOINT: ValidatedAs.RESOURCE,
    PolicyKind.TRUST: ValidatedAs.TRUST,
    PolicyKind.SCP: ValidatedAs.SCP,
    PolicyKind.RCP: ValidatedAs.RCP,
}


class ConditionNode(msgspec.Struct, frozen=True):
    """One key of one operator. `name` is the operator without set operator and IfExists, in lower case."""

    operator: JsonNode
    name: str
    set_operator: str  # forallvalues, foranyvalue or ""
    is_if_exists: bool
    key: JsonNode
    value: JsonNode
    values: tuple[JsonNode, ...]


class PrincipalNode(msgspec.Struct, frozen=True):
    """One principal; `type` is AWS, Service, Federated, CanonicalUser, or "*" where everyone is written alone."""

    type: str
    node: JsonNode


class StatementNode(msgspec.Struct, frozen=True):
    """A statement. What is not written as the grammar wants it is left out of the lists, and stays in `node`."""

    node: JsonNode
    effect: str
    actions: tuple[JsonNode, ...]
    not_actions: tuple[JsonNode, ...]
    resources: tuple[JsonNode, ...]
    not_resources: tuple[JsonNode, ...]
    principals: tuple[PrincipalNode, ...]
    not_principals: tuple[PrincipalNode, ...]
    conditions: tuple[ConditionNode, ...]

    def find(self, name: str) -> JsonNode | None:
        return self.node.find(name)

    @property
    def is_allow(self) -> bool:
        return self.effect == "Allow"

    def has_key(self, *names: str) -> bool:
        """Whether a condition is on one of these keys, which are in lower case."""
        return any(one.key.text.lower() in names for one in self.conditions)


class Subject(msgspec.Struct, frozen=True):
    """A text as checks see it; `version` is that of 2008 where none is written.

    `own_services` are service principals of the operator, with any names. `resource_type` is what a resource
    policy is attached to, as CloudFormation calls it; "" where that is not known. `as_aws`: there are no services but
    AWS's; else a service that is similar to none of AWS's is the operator's.
    """

    text: str
    root: JsonNode
    validated_as: ValidatedAs
    version: str
    statements: tuple[StatementNode, ...]
    own_services: Collection[str] = ()
    resource_type: str = ""
    as_aws: bool = False


_OPERATOR = re.compile(r"(?:(ForAllValues|ForAnyValue):)?(.*?)(IfExists)?", re.IGNORECASE | re.DOTALL)


def read_subject(
    text: str,
    root: JsonNode,
    validated_as: ValidatedAs,
    own_services: Collection[str],
    resource_type: str,
    *,
    as_aws: bool,
) -> Subject:
    version = root.find("Version")
    return Subject(
        text,
        root,
        validated_as,
        version.text if version is not None and version.kind == "string" else OLD_VERSION,
        tuple(_statement(node) for node in as_list(root.find("Statement")) if node.kind == "object"),
        own_services,
        resource_type,
        as_aws,
    )


def as_list(node: JsonNode | None) -> tuple[JsonNode, ...]:
    """The items of a list; of what may stand alone, itself."""
    if node is None:
        return ()
    return node.items if node.kind == "array" else (node,)


def _strings(node: JsonNode | None) -> tuple[JsonNode, ...]:
    return tuple(item for item in as_list(node) if item.kind == "string")


def _statement(node: JsonNode) -> StatementNode:
    effect = node.find("Effect")
    return StatementNode(
        node,
        effect.text if effect is not None and effect.kind == "string" else "",
        _strings(node.find("Action")),
        _strings(node.find("NotAction")),
        _strings(node.find("Resource")),
        _strings(node.find("NotResource")),
        tuple(_principals(node.find("Principal"))),
        tuple(_principals(node.find("NotPrincipal"))),
        tuple(_conditions(node.find("Condition"))),
    )


def _principals(node: JsonNode | None) -> Iterator[PrincipalNode]:
    if node is None:
        return
    if node.kind == "string":
        yield PrincipalNode("*", node)
    for member in node.members:
        for item in _strings(member.value):
            yield PrincipalNode(member.key.text, item)


def _conditions(node: JsonNode | None) -> Iterator[ConditionNode]:
    for block in node.members if node is not None else ():
        for member in block.value.members:
            yield _condition(block, member)


def _condition(block: JsonMember, member: JsonMember) -> ConditionNode:
    found = _OPERATOR.fullmatch(block.key.text)
    set_operator, name, if_exists = found.groups() if found else ("", block.key.text, None)
    return ConditionNode(
        block.key,
        name.lower(),
        (set_operator or "").lower(),
        if_exists is not None,
        member.key,
        member.value,
        as_list(member.value),
    )
