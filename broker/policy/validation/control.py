"""Checks of the policies of organizations: service control policies and resource control policies.

Since 2025 an SCP may have NotResource, and resources, NotAction and conditions in an Allow ("SCP syntax"), so that four
checks which AWS had for these have no row.
"""

from collections.abc import Iterator

from broker.policy.validation.findings import Issue
from broker.policy.validation.reference import resource_control_services
from broker.policy.validation.subject import StatementNode, Subject


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
            yield Issue(node, "A resource control policy has no NotAction.")


def actions_of_resource_control(subject: Subject) -> Iterator[Issue]:
    for statement in subject.statements:
        for action in statement.actions:
            service = action.text.partition(":")[0].lower()
            if action.text == "*" and not _allows_everything(statement):
                yield Issue(
                    action, "A resource control policy of your own names the services of its actions."
                )
            elif action.text != "*" and service not in resource_control_services():
                yield Issue(action, f"Resource control policies do not apply to {service}.")


def _allows_everything(statement: StatementNode) -> bool:
    """That is RCPFullAWSAccess, AWS's own."""
    return statement.is_allow and [node.text for node in statement.resources] == ["*"]
