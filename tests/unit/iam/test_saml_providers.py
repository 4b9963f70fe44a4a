import pytest

from broker.operation import Quotas
from broker.protocol.shapes import iam as shapes
from tests.unit.assertions.saml_provider import KeyPair, metadata, moment

ACCOUNT = "111122223333"
ARN = f"arn:aws:iam::{ACCOUNT}:saml-provider/idp"
MISSING = ("NoSuchEntity", f"Manifest not found for arn {ARN}")
PAIR, OTHER = KeyPair(), KeyPair()
METADATA = metadata(PAIR)


def new(name="idp", document=METADATA, **fields):
    return shapes.CreateSAMLProviderRequest(name=name, saml_metadata_document=document, **fields)


def named(request, **fields):
    return request(saml_provider_arn=ARN, **fields)


async def get(iam):
    return await iam(named(shapes.GetSAMLProviderRequest))


async def test_a_provider_is_created_and_read(iam):
    tags = (shapes.Tag(key="a", value="1"),)
    created = await iam(new(tags=tags))
    assert (created.saml_provider_arn, created.tags) == (ARN, tags)
    read = await get(iam)
    assert (read.saml_metadata_document, read.tags, read.private_key_list) == (METADATA, tags, ())
    assert read.valid_until == int(iam.now) + 100 * 365 * 24 * 3600
    assert read.saml_provider_uuid.startswith("SAMLPROV")
    (listed,) = (await iam(shapes.ListSAMLProvidersRequest())).saml_provider_list
    assert (listed.arn, listed.valid_until) == (ARN, read.valid_until)


async def test_a_provider_is_valid_as_long_as_its_metadata(iam):
    await iam(new(document=metadata(PAIR, valid_until=moment(3600))))
    assert (await get(iam)).valid_until == int(iam.now) + 3600


async def test_a_second_provider_of_the_name_is_refused(iam):
    await iam(new())
    assert (await iam.refused(new("IDP")))[0] == "EntityAlreadyExists"
    iam.quotas = Quotas(saml_providers=1)
    assert (await iam.refused(new("other")))[0] == "LimitExceeded"


@pytest.mark.parametrize(
    "document", ["not XML" * 200, metadata(), metadata(KeyPair(1024)), metadata(PAIR, valid_until=moment(-1))]
)
async def test_metadata_that_nothing_could_be_verified_with_is_refused(iam, document):
    assert (await iam.refused(new(document=document)))[0] == "InvalidInput"


async def test_metadata_is_replaced_and_what_is_not_spoken_of_stays(iam):
    await iam(new(assertion_encryption_mode="Required", add_private_key=PAIR.private_pem))
    before = await get(iam)
    changed = metadata(PAIR, OTHER)
    answer = await iam(named(shapes.UpdateSAMLProviderRequest, saml_metadata_document=changed))
    assert answer.saml_provider_arn == ARN
    after = await get(iam)
    assert after.saml_metadata_document == changed
    assert (after.private_key_list, after.assertion_encryption_mode) == (before.private_key_list, "Required")


async def test_private_keys_are_added_and_removed_and_never_shown(iam):
    await iam(new(add_private_key=PAIR.private_pem))
    await iam(named(shapes.UpdateSAMLProviderRequest, add_private_key=OTHER.private_pem))
    keys = (await get(iam)).private_key_list
    assert len({key.key_id for key in keys}) == 2
    request = named(shapes.UpdateSAMLProviderRequest, add_private_key=OTHER.private_pem)
    assert (await iam.refused(request))[0] == "LimitExceeded"
    await iam(named(shapes.UpdateSAMLProviderRequest, remove_private_key=keys[0].key_id))
    assert (await get(iam)).private_key_list == keys[1:]
    request = named(shapes.UpdateSAMLProviderRequest, remove_private_key=keys[0].key_id)
    assert (await iam.refused(request))[0] == "NoSuchEntity"


async def test_what_is_no_private_key_is_refused_without_being_shown(iam):
    for text in ("secret text", PAIR.pem, KeyPair(1024).private_pem):
        code, message = await iam.refused(new(add_private_key=text))
        assert code == "InvalidInput"
        assert text not in message


async def test_encryption_cannot_be_required_without_a_key(iam):
    assert (await iam.refused(new(assertion_encryption_mode="Required")))[0] == "InvalidInput"
    await iam(new(assertion_encryption_mode="Required", add_private_key=PAIR.private_pem))
    (key,) = (await get(iam)).private_key_list
    request = named(shapes.UpdateSAMLProviderRequest, remove_private_key=key.key_id)
    assert (await iam.refused(request))[0] == "InvalidInput"


async def test_a_provider_that_is_not_there_is_no_such_entity(iam):
    for request in (
        shapes.GetSAMLProviderRequest,
        shapes.DeleteSAMLProviderRequest,
        shapes.UpdateSAMLProviderRequest,
        shapes.ListSAMLProviderTagsRequest,
    ):
        assert await iam.refused(named(request)) == MISSING


async def test_a_deleted_provider_is_gone(iam):
    await iam(new())
    await iam(named(shapes.DeleteSAMLProviderRequest))
    assert await iam.refused(named(shapes.GetSAMLProviderRequest)) == MISSING


CONTEXT = shapes.ContextProvider(subject_source_key="email")
INSTANCE = "arn:aws:sso:::instance/ssoins-1234567890abcdef"


def no_propagation(member):
    return (
        "ValidationError",
        f"This broker has no trusted identity propagation: {member} must be left out.",
    )


@pytest.mark.parametrize(
    ("member", "fields"),
    [
        ("ContextProvider", {"context_provider": CONTEXT}),
        ("IdentityCenterInstanceArn", {"identity_center_instance_arn": INSTANCE}),
    ],
)
async def test_identity_propagation_is_refused_and_nothing_is_created_or_changed(iam, member, fields):
    assert await iam.refused(new(**fields)) == no_propagation(member)
    assert (await iam(shapes.ListSAMLProvidersRequest())).saml_provider_list == ()
    await iam(new())
    update = named(shapes.UpdateSAMLProviderRequest, saml_metadata_document=metadata(OTHER), **fields)
    assert await iam.refused(update) == no_propagation(member)
    assert (await get(iam)).saml_metadata_document == METADATA


async def test_removing_what_cannot_be_there_changes_nothing(iam):
    await iam(new())
    before = await get(iam)
    for field in ("remove_context_provider", "remove_identity_center_instance"):
        for value in (True, False):
            await iam(named(shapes.UpdateSAMLProviderRequest, **{field: value}))
    assert await get(iam) == before
