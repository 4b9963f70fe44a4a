"""Examples as a person would write them: real actions and resources, and no key that does not matter."""

import re
from collections.abc import Callable, Iterator

from msgspec.structs import replace

from broker.policy.solver.questions import ExampleRequest
from broker.policy.validation.reference import ReferencedAction, ServiceReference, find_service

IsExample = Callable[[ExampleRequest], bool]
_PLACEHOLDER = re.compile(r"\$\{([^}]*)\}|<[^>]*>")
_FILLED = {"Partition": "aws", "Region": "us-east-1", "Account": "111122223333"}
_WELL_KNOWN = ("s3", "iam", "ec2")
# Actions and resources that are tried.
_MOST_ACTIONS, _MOST_RESOURCES = 40, 4


def readable(request: ExampleRequest, is_example: IsExample) -> ExampleRequest:
    """An example, too, by `is_example`."""
    for key in list(request.values):
        values = {name: value for name, value in request.values.items() if name != key}
        request = _first([replace(request, values=values)], is_example) or request
    for tried in _with_known_action(request):
        if is_example(tried):
            return tried
    return request


def _first(requests: list[ExampleRequest], is_example: IsExample) -> ExampleRequest | None:
    return next(filter(is_example, requests), None)


def _with_known_action(request: ExampleRequest) -> Iterator[ExampleRequest]:
    """With a resource of the action before the one that was found; the actions that are spelt alike first."""
    prefix, _, name = request.action.partition(":")
    for service in dict.fromkeys((prefix, *_WELL_KNOWN)):
        reference = find_service(service)
        if reference is None:
            continue
        near = sorted(reference.actions, key=lambda known: (known != name, not known.startswith(name[:3])))
        for action in (reference.actions[known] for known in near[:_MOST_ACTIONS]):
            named = replace(request, action=f"{service}:{action.name}")
            yield from (replace(named, resource=one) for one in _resources(reference, action))
            yield named


def _resources(reference: ServiceReference, action: ReferencedAction) -> Iterator[str]:
    for kind in action.resource_types[:_MOST_RESOURCES]:
        found = reference.resource_types.get(kind.name.lower()) or reference.resource_types.get(kind.name)
        if found is not None and found.arn:
            yield _PLACEHOLDER.sub(lambda part: _FILLED.get(part[1] or "", "example"), found.arn)
