"""Checks of the policies of organizations: service control policies and resource control policies.

Since 2025 an SCP may have NotResource, and resources, NotAction and conditions in an Allow ("SCP syntax"), so that four
checks which AWS had for these have no row.
"""

from collections.abc import Callable, Iterator

from broker.policy.validation.findings import Issue
from broker.policy.validation.nodes import JsonNode
from broker.policy.validation.reference import known_services, resource_control_services
from broker.policy.validation.subject import ConditionNode, StatementNode, Subject

# "AWS global condition context keys", "Properties of the principal", but for those that say if it is a service.
_OF_PRINCIPALS = frozenset(
    {"aws:principalarn", "aws:principalaccount", "aws:principalorgid", "aws:principalorgpaths",
     "aws:principaltype", "aws:userid", "aws:username"}
)  # fmt: skip
# The keys that a service sends of the resource for which it acts.
_OF_SOURCES = frozenset({"aws:sourceaccount", "aws:sourcearn", "aws:sourceorgid", "aws:sourceorgpaths"})
_NAMED_SOURCES = ("aws:sourceaccount", "aws:sourcearn")
_IS_SERVICE = "aws:principalisawsservice"


def action_wildcards(subject: Subject) -> Iterator[Issue]:
    for statement in subject.statements:
        for node in statement.actions + statement.not_actions:
            service, colon, _ = node.text.partition(":")
            if colon and ("*" in service or "?" in service):
                yield Issue(node, "The service of an action in an SCP has no wildcard.")


def principals_of_resource_control(subject: Subject) -> Iterator[Issue]:
    """Everyone is the principal of each statement ("RCP syntax")."""
    for statement in subject.statements:
        node = statement.find("NotPrincipal")
        if node is not None:
            yield Issue(node, "A resource control policy has no NotPrincipal.", '"Principal": "*"')
        for one in statement.principals:
            if one.type not in ("*", "AWS") or one.node.text != "*":
                message = "Everyone is the principal of a resource control policy: narrow it by conditions."
                yield Issue(one.node, message, '"Principal": "*"')


def not_actions_of_resource_control(subject: Subject) -> Iterator[Issue]:
    for statement in subject.statements:
        node = statement.find("NotAction")
        if node is not None:
            yield Issue(node, "A resource control policy has no NotAction.", '"Action"')


def allows_of_resource_control(subject: Subject) -> Iterator[Issue]:
    """The only Allow is that of RCPFullAWSAccess; Organizations refuses others."""
    for statement in subject.statements:
        node = statement.find("Effect")
        if node is not None and statement.is_allow and not _allows_everything(statement):
            message = (
                "A resource control policy denies. The one Allow that it may have is of everything, to everyone, "
                "on every resource, without a condition."
            )
            yield Issue(node, message, '"Deny"')


def actions_of_resource_control(subject: Subject) -> Iterator[Issue]:
    for statement in subject.statements:
        for action in statement.actions:
            service = action.text.partition(":")[0].lower()
            if action.text == "*" and not statement.is_allow:
                yield Issue(
                    action, "A resource control policy of your own names the services of its actions."
                )
            elif action.text != "*" and _is_out_of_reach(service, subject):
                yield Issue(action, f"Resource control policies do not apply to {service}.")


def _is_out_of_reach(service: str, subject: Subject) -> bool:
    """A service that AWS does not have is the operator's, unless the policy is checked as AWS's."""
    is_open = "*" in service or "?" in service
    is_judged = subject.as_aws or is_open or service in known_services()
    return is_judged and service not in resource_control_services()


def _allows_everything(statement: StatementNode) -> bool:
    """That is RCPFullAWSAccess, AWS's own."""
    everything = ["*"]
    return (
        [node.text for node in statement.actions] == everything
        and [node.text for node in statement.resources] == everything
        and [one.node.text for one in statement.principals] == everything
        and statement.find("Condition") is None
    )


def missing_exception_of_services(subject: Subject) -> Iterator[Issue]:
    """A service that calls for the account has none of these keys, so that a negated operator denies it, too."""
    mend = '"BoolIfExists": {"aws:PrincipalIsAWSService": "false"}'
    for statement in subject.statements:
        if not _is_for_services(statement, "false"):
            for node in _keys(statement, _is_of_principal):
                message = f"{node.text} is missing in requests of services, which this statement may deny."
                yield Issue(node, message, mend)


def missing_limit_to_services(subject: Subject) -> Iterator[Issue]:
    """Users and roles have none of these keys."""
    mend = '"BoolIfExists": {"aws:PrincipalIsAWSService": "true"}'
    for statement in subject.statements:
        if not _is_for_services(statement, "true"):
            for node in _keys(statement, _is_of_source):
                message = (
                    f"{node.text} is missing in requests of users and roles, which this statement may deny."
                )
                yield Issue(node, message, mend)


def missing_source(subject: Subject) -> Iterator[Issue]:
    """Some services do not say for whom they call."""
    mend = '"Null": {"aws:SourceAccount": "false"}'
    for statement in subject.statements:
        if not any(_requires_source(one) for one in statement.conditions):
            for node in _keys(statement, _is_of_source):
                message = f"Some services send no {node.text} by which to judge them: this may deny them."
                yield Issue(node, message, mend)


def _keys(statement: StatementNode, is_of: Callable[[str], bool]) -> Iterator[JsonNode]:
    for condition in statement.conditions:
        if condition.name != "null" and is_of(condition.key.text.lower()):
            yield condition.key


def _is_of_principal(key: str) -> bool:
    return key in _OF_PRINCIPALS or key.startswith("aws:principaltag/")


def _is_of_source(key: str) -> bool:
    return key in _OF_SOURCES


def _is_for_services(statement: StatementNode, wanted: str) -> bool:
    return any(
        one.name == "bool" and one.key.text.lower() == _IS_SERVICE and _texts(one) == [wanted]
        for one in statement.conditions
    )


def _requires_source(condition: ConditionNode) -> bool:
    is_of_source = condition.key.text.lower() in _NAMED_SOURCES
    return condition.name == "null" and is_of_source and _texts(condition) == ["false"]


def _texts(condition: ConditionNode) -> list[str]:
    return [node.text.lower() for node in condition.values]
