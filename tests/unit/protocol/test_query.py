"""Which operation a request names (the refusals of STS were measured on AWS)."""

import pytest

from broker.errors import Refusal
from broker.protocol.model import load_service
from broker.protocol.query import name_operation

SERVICES = {service.signing_name: service for service in (load_service("iam"), load_service("sts"))}


def refusal_of(signing_name: str | None, action: str | None, version: str | None) -> Refusal:
    with pytest.raises(Refusal) as caught:
        name_operation(SERVICES, signing_name, action, version)
    return caught.value


@pytest.mark.parametrize("signing_name", ["sts", None, "s3"])
def test_an_operation_is_found_by_its_service_or_by_its_version(signing_name: str | None) -> None:
    service, operation = name_operation(SERVICES, signing_name, "GetCallerIdentity", "2011-06-15")
    assert (service.name, operation) == ("sts", "GetCallerIdentity")


def test_the_operations_without_a_signature_are_the_models_and_our_additions() -> None:
    unsigned = {
        name
        for model in SERVICES.values()
        for name, operation in model.operations.items()
        if operation.is_unsigned
    }
    assert unsigned == {
        "AssumeRoleWithWebIdentity",
        "AssumeRoleWithSAML",
        "AssumeRoleWithLDAPIdentity",
        "AssumeRoleWithCertificate",
        "AssumeRoleWithCustomToken",
    }


@pytest.mark.parametrize(
    ("action", "version", "shown"),
    [
        ("NoSuchAction", "2011-06-15", "NoSuchAction for version 2011-06-15"),
        ("GetCallerIdentity", None, "GetCallerIdentity for version NO_VERSION_SPECIFIED"),
        ("GetCallerIdentity", "", "GetCallerIdentity for version "),
        ("GetCallerIdentity", "2000-01-01", "GetCallerIdentity for version 2000-01-01"),
        ("", "2011-06-15", " for version 2011-06-15"),
        ("ListUsers", "2010-05-08", "ListUsers for version 2010-05-08"),
        ("getcalleridentity", "2011-06-15", "getcalleridentity for version 2011-06-15"),
        ("__class__", "2011-06-15", "__class__ for version 2011-06-15"),
    ],
)
def test_what_sts_does_not_know_is_an_invalid_action(action: str, version: str | None, shown: str) -> None:
    refusal = refusal_of("sts", action, version)
    assert (refusal.code, refusal.message) == ("InvalidAction", f"Could not find operation {shown}")


def test_a_request_without_an_action_is_refused() -> None:
    assert refusal_of("sts", None, "2011-06-15").code == "MissingAction"


def test_a_huge_action_is_not_echoed_whole() -> None:
    assert len(refusal_of(None, "A" * 100_000, "2" * 100_000).message) < 300
