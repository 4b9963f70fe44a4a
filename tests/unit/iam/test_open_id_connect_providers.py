import pytest

from broker.federation.reach import Reach
from broker.operation import Quotas
from broker.protocol.shapes import iam as shapes
from tests.unit.federating import no_federation

ACCOUNT = "111122223333"
URL = "https://idp.example.com/realms/one"
ARN = f"arn:aws:iam::{ACCOUNT}:oidc-provider/idp.example.com/realms/one"
MISSING = ("NoSuchEntity", f"OpenIDConnect Provider not found for arn {ARN}")
THUMBPRINT = "0123456789ABCDEF0123456789abcdef01234567"


def new(url=URL, **fields):
    return shapes.CreateOpenIDConnectProviderRequest(url=url, **fields)


async def get(iam, arn=ARN):
    return await iam(shapes.GetOpenIDConnectProviderRequest(open_id_connect_provider_arn=arn))


def named(request, **fields):
    return request(open_id_connect_provider_arn=ARN, **fields)


async def test_a_provider_is_created_and_read(iam):
    tags = (shapes.Tag(key="a", value="1"),)
    created = await iam(new(client_id_list=("one", "two", "one"), thumbprint_list=(THUMBPRINT,), tags=tags))
    assert (created.open_id_connect_provider_arn, created.tags) == (ARN, tags)
    read = await get(iam)
    assert (read.url, read.client_id_list) == ("idp.example.com/realms/one", ("one", "two"))
    assert (read.thumbprint_list, read.tags) == ((THUMBPRINT.lower(),), tags)
    listed = await iam(shapes.ListOpenIDConnectProvidersRequest())
    assert [entry.arn for entry in listed.open_id_connect_provider_list] == [ARN]
    summary = (await iam("GetAccountSummary")).summary_map
    assert summary["Providers"] == 1


async def test_two_issuers_that_differ_in_the_case_of_their_path_are_two(iam):
    await iam(new())
    other = await iam(new("https://idp.example.com/realms/ONE"))
    assert other.open_id_connect_provider_arn.endswith("/realms/ONE")


async def test_a_second_provider_of_the_url_is_refused(iam):
    await iam(new())
    assert await iam.refused(new()) == ("EntityAlreadyExists", f"Provider with url {URL} already exists.")
    iam.quotas = Quotas(open_id_connect_providers=1)
    assert (await iam.refused(new("https://other.example.com")))[0] == "LimitExceeded"


@pytest.mark.parametrize(
    "url",
    [
        "idp.example.com",
        "http://idp.example.com",
        "ftp://idp.example.com",
        "https://",
        "https:///path",
        "https://aws",
        "https://saml/path",
        "https://user@idp.example.com",
        "https://idp.example.com?x=1",
        "https://idp.example.com/#x",
        "https://idp.example.com/a b",
        "https://IDP.example.com",
        "https://idp.example.com/é",
        "https://[::1",
    ],
)
async def test_a_url_that_is_no_issuer_is_refused(iam, url):
    assert await iam.refused(new(url)) == ("ValidationError", "Invalid Open ID Connect Provider URL")


async def test_a_plain_issuer_is_taken_where_the_operator_says_so(iam):
    iam.federation = no_federation(reach=Reach(plain_http=True))
    created = await iam(new("http://127.0.0.1:5556/dex"))
    assert created.open_id_connect_provider_arn == f"arn:aws:iam::{ACCOUNT}:oidc-provider/127.0.0.1:5556/dex"


async def test_client_ids_are_added_and_removed_and_doing_so_twice_is_no_error(iam):
    await iam(new(client_id_list=("one",)))
    for _ in range(2):
        await iam(named(shapes.AddClientIDToOpenIDConnectProviderRequest, client_id="two"))
    assert (await get(iam)).client_id_list == ("one", "two")
    for _ in range(2):
        await iam(named(shapes.RemoveClientIDFromOpenIDConnectProviderRequest, client_id="one"))
    assert (await get(iam)).client_id_list == ("two",)
    iam.quotas = Quotas(client_ids_per_open_id_connect_provider=1)
    request = named(shapes.AddClientIDToOpenIDConnectProviderRequest, client_id="three")
    assert (await iam.refused(request))[0] == "LimitExceeded"


async def test_thumbprints_are_replaced(iam):
    await iam(new(thumbprint_list=(THUMBPRINT,)))
    other = "f" * 40
    await iam(named(shapes.UpdateOpenIDConnectProviderThumbprintRequest, thumbprint_list=(other,)))
    assert (await get(iam)).thumbprint_list == (other,)
    many = tuple(f"{number:040x}" for number in range(6))
    request = named(shapes.UpdateOpenIDConnectProviderThumbprintRequest, thumbprint_list=many)
    assert (await iam.refused(request))[0] == "InvalidInput"
    request = named(shapes.UpdateOpenIDConnectProviderThumbprintRequest, thumbprint_list=("g" * 40,))
    assert (await iam.refused(request))[0] == "InvalidInput"


async def test_a_provider_that_is_not_there_is_no_such_entity(iam):
    for request in (
        shapes.GetOpenIDConnectProviderRequest,
        shapes.ListOpenIDConnectProviderTagsRequest,
    ):
        assert await iam.refused(named(request)) == MISSING


async def test_a_deleted_provider_is_gone(iam):
    await iam(new())
    await iam(named(shapes.DeleteOpenIDConnectProviderRequest))
    assert await iam.refused(named(shapes.GetOpenIDConnectProviderRequest)) == MISSING


async def test_tags_are_set_and_taken_away(iam):
    await iam(new())
    await iam(named(shapes.TagOpenIDConnectProviderRequest, tags=(shapes.Tag(key="a", value="1"),)))
    listed = await iam(named(shapes.ListOpenIDConnectProviderTagsRequest))
    assert listed.tags == (shapes.Tag(key="a", value="1"),)
    await iam(named(shapes.UntagOpenIDConnectProviderRequest, tag_keys=("a",)))
    assert (await get(iam)).tags == ()


@pytest.mark.parametrize(
    ("member", "fields"),
    [
        ("ContextProvider", {"context_provider": shapes.ContextProvider(subject_source_key="email")}),
        ("IdentityCenterInstanceArn", {"identity_center_instance_arn": "arn:aws:sso:::instance/ssoins-1"}),
    ],
)
async def test_identity_propagation_is_refused_and_nothing_is_created(iam, member, fields):
    assert await iam.refused(new(**fields)) == (
        "ValidationError",
        f"This broker has no trusted identity propagation: {member} must be left out.",
    )
    assert (await iam(shapes.ListOpenIDConnectProvidersRequest())).open_id_connect_provider_list == ()


CONTEXT = shapes.ContextProvider(subject_source_key="sub")
INSTANCE = "arn:aws:sso:::instance/ssoins-0123456789abcdef"


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ({}, "InvalidInput"),
        ({"remove_context_provider": False}, "InvalidInput"),
        ({"context_provider": CONTEXT, "remove_context_provider": True}, "InvalidInput"),
        ({"context_provider": CONTEXT, "identity_center_instance_arn": INSTANCE}, "InvalidInput"),
        ({"context_provider": CONTEXT}, "ValidationError"),
        ({"identity_center_instance_arn": INSTANCE}, "ValidationError"),
    ],
)
async def test_identity_propagation_cannot_be_set_up_by_an_update(iam, fields, code):
    assert await iam.refused(named(shapes.UpdateOpenIDConnectProviderRequest, **fields)) == MISSING
    await iam(new())
    before = await get(iam)
    refusal = await iam.refused(named(shapes.UpdateOpenIDConnectProviderRequest, **fields))
    assert refusal[0] == code
    assert await get(iam) == before


@pytest.mark.parametrize("field", ["remove_context_provider", "remove_identity_center_instance"])
async def test_that_identity_propagation_be_removed_is_granted_for_there_is_none(iam, field):
    update = named(shapes.UpdateOpenIDConnectProviderRequest, **{field: True})
    assert await iam.refused(update) == MISSING
    await iam(new())
    before = await get(iam)
    await iam(update)
    assert await get(iam) == before
