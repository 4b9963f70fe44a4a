"""SCIM 2.0 over HTTP: what Entra ID, Okta and Keycloak send, as their documentation shows it, and what they read."""

import json
import urllib.error
import urllib.request
from typing import Any

import pytest

from tests.e2e.conftest import Account, Server
from tests.e2e.identity_pools import account_of
from tests.e2e.scenes import records_of
from tests.e2e.scim import (
    ENTERPRISE_SCHEMA,
    ERROR_SCHEMA,
    GROUP_SCHEMA,
    PATCH_SCHEMA,
    USER_SCHEMA,
    Pushed,
    ScimAnswer,
    ScimClient,
    push_people,
)

ENTRA_USER = {
    "schemas": [USER_SCHEMA, ENTERPRISE_SCHEMA],
    "externalId": "0a21f0f2-8d2a-4f8e-bf98-7363c4aed4ef",
    "userName": "Test_User_ab6490ee",
    "active": True,
    "displayName": "Test User",
    "emails": [{"primary": True, "type": "work", "value": "Test_User@example.com"}],
    "meta": {"resourceType": "User"},
    "name": {"formatted": "givenName familyName", "familyName": "familyName", "givenName": "givenName"},
    "roles": [],
    ENTERPRISE_SCHEMA: {"department": "Research", "manager": "1234"},
}
OKTA_USER = {
    "schemas": [USER_SCHEMA],
    "userName": "test.user@okta.local",
    "name": {"givenName": "Test", "familyName": "User"},
    "emails": [{"primary": True, "value": "test.user@okta.local", "type": "work"}],
    "displayName": "Test User",
    "locale": "en-US",
    "externalId": "00ujl29u0le5T6Aj10h7",
    "groups": [],
    "password": "1mz050nq",
    "active": True,
}


@pytest.fixture(scope="module")
def account(server: Server) -> Account:
    return account_of(server)


@pytest.fixture
def pushed(server: Server, account: Account, request: pytest.FixtureRequest) -> Pushed:
    """Each test has a store of its own, of a provider of its own."""
    iam = server.client("iam", account.root)
    name = f"{abs(hash(request.node.name)) % 10**9}.example"
    arn = iam.create_open_id_connect_provider(Url=f"https://{name}", ClientIDList=["x"])[
        "OpenIDConnectProviderArn"
    ]
    return push_people(server, account.root, arn)


@pytest.fixture
def scim(pushed: Pushed) -> ScimClient:
    return pushed.scim


def error(answer: ScimAnswer) -> tuple[int, str | None]:
    assert answer.body["schemas"] == [ERROR_SCHEMA]
    assert answer.body["status"] == str(answer.status)
    assert answer.body["detail"]
    return answer.status, answer.body.get("scimType")


def test_what_entra_id_does_with_a_user(scim: ScimClient) -> None:
    """It asks first, creates, changes with paths that have filters, soft-deletes, and deletes."""
    asked = f'externalId eq "{ENTRA_USER["externalId"]}"'
    nobody = scim.get("/Users", filter=asked)
    assert (nobody.status, nobody.body["totalResults"], nobody.body["Resources"]) == (200, 0, [])
    made = scim.send("POST", "/Users", ENTRA_USER)
    assert made.status == 201
    assert made.headers["Location"] == made.body["meta"]["location"]
    assert made.headers["Content-Type"] == "application/scim+json"
    assert made.body["emails"] == ENTRA_USER["emails"]
    assert made.body[ENTERPRISE_SCHEMA] == {"department": "Research", "manager": {"value": "1234"}}
    path = f"/Users/{made.body['id']}"
    assert scim.get("/Users", filter=asked).body["Resources"] == [made.body]
    by_name = scim.get("/Users", filter='userName eq "TEST_user_AB6490ee"', excludedAttributes="emails,name")
    assert set(made.body) - set(by_name.body["Resources"][0]) == {"emails", "name"}
    changed = scim.patch(
        path,
        {"op": "Replace", "path": 'emails[type eq "work"].value', "value": "updated@example.com"},
        {"op": "Replace", "path": "name.familyName", "value": "updatedFamilyName"},
        {"op": "Add", "path": f"{ENTERPRISE_SCHEMA}:department", "value": "Looms"},
    )
    assert changed.body["emails"][0]["value"] == "updated@example.com"
    assert changed.body["name"]["familyName"] == "updatedFamilyName"
    assert changed.body[ENTERPRISE_SCHEMA]["department"] == "Looms"
    assert scim.patch(path, {"op": "Replace", "path": "active", "value": "False"}).body["active"] is False
    assert scim.send("DELETE", path).status == 204
    assert error(scim.get(path)) == (404, None)


def test_what_okta_does_with_a_user(scim: ScimClient) -> None:
    """It pages through the users, creates with a password, replaces, and deactivates without a path."""
    page = scim.get("/Users", startIndex="1", count="100").body
    assert (page["totalResults"], page["startIndex"], page["itemsPerPage"]) == (0, 1, 0)
    made = scim.send("POST", "/Users", OKTA_USER, media="application/json; charset=utf-8")
    assert made.status == 201
    assert "password" not in made.body and "1mz050nq" not in json.dumps(made.body)
    path = f"/Users/{made.body['id']}"
    renamed = {**OKTA_USER, "name": {"givenName": "Another", "familyName": "User"}, "id": made.body["id"]}
    assert scim.send("PUT", path, renamed).body["name"]["givenName"] == "Another"
    off = scim.patch(path, {"op": "replace", "value": {"active": False}})
    assert (off.status, off.body["active"]) == (200, False)
    silent = {name: value for name, value in renamed.items() if name != "active"}
    assert scim.send("PUT", path, silent).body["active"] is False  # nobody is let in by what is not said
    assert error(scim.send("POST", "/Users", {**OKTA_USER, "userName": "TEST.user@okta.LOCAL"})) == (
        409,
        "uniqueness",
    )


def test_what_both_do_with_groups(scim: ScimClient) -> None:
    first, second = scim.new_user("first"), scim.new_user("second")
    body = {"schemas": [GROUP_SCHEMA], "externalId": "8aa1a0c0", "displayName": "Readers", "members": []}
    made = scim.send("POST", "/Groups", body)
    assert made.status == 201
    path = f"/Groups/{made.body['id']}"
    found = scim.get("/Groups", filter='displayName eq "readers"', excludedAttributes="members").body
    assert [one["id"] for one in found["Resources"]] == [made.body["id"]]
    assert "members" not in found["Resources"][0]
    add = {"op": "Add", "path": "members", "value": [{"value": first}, {"value": second}]}
    assert scim.patch(path, add).status == 204
    assert [one["value"] for one in scim.get(path).body["members"]] == sorted([first, second])
    assert scim.patch(path, add).status == 204
    remove = {"op": "Remove", "path": f'members[value eq "{first}"]'}
    assert scim.patch(path, remove).status == 204
    assert [one["value"] for one in scim.get(path).body["members"]] == [second]
    assert scim.patch(path, {"op": "replace", "value": {"displayName": "Writers"}}).status == 204
    assert scim.get(path).body["displayName"] == "Writers"
    whole = {**body, "displayName": "Writers", "members": [{"value": first}]}
    assert [one["value"] for one in scim.send("PUT", path, whole).body["members"]] == [first]
    scim.send("DELETE", f"/Users/{first}")
    assert scim.get(path).body["members"] == []
    nested = {"op": "add", "path": "members", "value": [{"value": made.body["id"]}]}
    assert error(scim.patch(path, nested)) == (400, "invalidValue")
    assert scim.send("DELETE", path).status == 204
    assert scim.get("/Groups").body["totalResults"] == 0


def test_a_list_comes_in_pages(scim: ScimClient) -> None:
    ids = sorted(scim.new_user(f"user-{number}", title="x" if number % 2 else "y") for number in range(7))
    pages = [scim.get("/Users", startIndex=str(start), count="3").body for start in (1, 4, 7, 10)]
    assert [len(one["Resources"]) for one in pages] == [3, 3, 1, 0]
    assert [one["id"] for page in pages for one in page["Resources"]] == ids
    assert {one["totalResults"] for one in pages} == {7}
    chosen = scim.get("/Users", filter='title eq "x"', startIndex="2", count="1", attributes="userName").body
    assert (chosen["totalResults"], chosen["itemsPerPage"]) == (3, 1)
    assert set(chosen["Resources"][0]) == {"schemas", "id", "userName"}
    searched = scim.send("POST", "/Users/.search", {"filter": 'title eq "x"', "count": 2})
    assert (searched.status, searched.body["itemsPerPage"]) == (200, 2)
    assert scim.get("/Users", count="0").body["itemsPerPage"] == 0
    assert scim.get("/Users", count="-5", startIndex="-5").body["startIndex"] == 1
    assert error(scim.get("/Users", count="many")) == (400, "invalidValue")


def test_two_writers_do_not_overwrite_each_other(scim: ScimClient) -> None:
    made = scim.send("POST", "/Users", ENTRA_USER)
    path = f"/Users/{made.body['id']}"
    assert made.headers["ETag"] == made.body["meta"]["version"] == 'W/"1"'
    change = {"op": "replace", "path": "title", "value": "Dr"}
    assert scim.patch(path, change, If_Match='W/"1"').headers["ETag"] == 'W/"2"'
    assert error(scim.patch(path, change, If_Match='W/"1"')) == (412, None)
    assert error(scim.send("DELETE", path, If_Match='W/"1"')) == (412, None)
    assert scim.send("DELETE", path, If_Match='W/"2"').status == 204


def test_the_endpoint_describes_itself(scim: ScimClient) -> None:
    config = scim.get("/ServiceProviderConfig").body
    assert config["patch"]["supported"] and config["filter"]["supported"] and config["etag"]["supported"]
    assert not config["bulk"]["supported"]
    types = scim.get("/ResourceTypes").body["Resources"]
    assert [one["endpoint"] for one in types] == ["/Users", "/Groups"]
    assert scim.get("/ResourceTypes/User").body == types[0]
    schemas = {one["id"]: one for one in scim.get("/Schemas").body["Resources"]}
    assert set(schemas) == {USER_SCHEMA, GROUP_SCHEMA, ENTERPRISE_SCHEMA}
    assert scim.get(f"/Schemas/{USER_SCHEMA}").body == schemas[USER_SCHEMA]
    (name,) = [one for one in schemas[USER_SCHEMA]["attributes"] if one["name"] == "userName"]
    assert (name["caseExact"], name["uniqueness"], name["required"]) == (False, "server", True)
    assert error(scim.get("/Schemas/urn:none")) == (404, None)


@pytest.mark.parametrize(
    ("method", "path", "body", "wanted"),
    [
        ("POST", "/Users", {"displayName": "x"}, (400, "invalidValue")),
        ("POST", "/Users", {"userName": "x" * 300}, (400, "invalidValue")),
        ("POST", "/Users", {"userName": "x", "active": "perhaps"}, (400, "invalidValue")),
        ("POST", "/Users", b"[1]", (400, "invalidSyntax")),
        ("POST", "/Users", b'{"userName":"a","userName":"b"}', (400, "invalidSyntax")),
        ("POST", "/Groups", {}, (400, "invalidValue")),
        ("POST", "/Groups", {"displayName": "g", "members": [{"value": "nobody"}]}, (400, "invalidValue")),
        ("GET", "/Users?filter=password%20eq%20%22x%22", None, (400, "invalidFilter")),
        ("GET", "/Users/none", None, (404, None)),
        ("GET", "/Users/..%2f..%2fGroups", None, (404, None)),
        ("PATCH", "/Users/none", {"Operations": []}, (404, None)),
        ("PATCH", "/Users", {}, (405, None)),
        ("GET", "/Devices", None, (404, None)),
        ("GET", "/Me", None, (501, None)),
        ("POST", "/Bulk", {}, (501, None)),
    ],
)
def test_what_cannot_be_done_is_refused_in_scims_form(
    scim: ScimClient, method: str, path: str, body: Any, wanted: tuple[int, str | None]
) -> None:
    assert error(scim.send(method, path, body)) == wanted


def test_a_patch_that_is_too_large_changes_nothing(scim: ScimClient) -> None:
    path = f"/Users/{scim.new_user('ada')}"
    many = [{"op": "replace", "path": "title", "value": "x"}] * 1001
    assert error(scim.patch(path, *many)) == (400, "invalidValue")
    huge = {
        "schemas": [PATCH_SCHEMA],
        "Operations": [{"op": "add", "path": "title", "value": "x" * 2_000_000}],
    }
    assert scim.send("PATCH", path, huge).status in (400, 413)
    text = scim.send("PATCH", path, {"Operations": many[:1]}, media="text/plain")
    assert error(text) == (415, None)
    assert "title" not in scim.get(path).body


def test_each_request_leaves_a_record_without_what_it_says_of_people(pushed: Pushed, server: Server) -> None:
    made = pushed.scim.send("POST", "/Users", ENTRA_USER)
    off = pushed.scim.patch(f"/Users/{made.body['id']}", {"op": "replace", "value": {"active": False}})
    pushed.scim.get("/Users", filter='userName eq "somebody@example.com"')
    (created,) = records_of(server, made.headers["x-amzn-RequestId"])
    assert created["eventName"] == "CreateUser"
    assert created["eventSource"] == "identitystore-scim.amazonaws.com"
    assert created["userIdentity"]["type"] == "IdentityStoreToken"
    assert created["userIdentity"]["principalId"] == f"{pushed.store_id}:{pushed.token_id}"
    assert created["requestParameters"]["userId"] == made.body["id"]
    (patched,) = records_of(server, off.headers["x-amzn-RequestId"])
    assert patched["requestParameters"]["attributes"] == ["active"]
    assert patched["requestParameters"]["active"] is False
    written = (server.folder / "audit.jsonl").read_text()
    for text in ("Test_User", "Research", "somebody@example.com", pushed.scim.token):
        assert text not in written


def test_a_request_without_a_token_says_nothing_of_the_endpoint(server: Server) -> None:
    request = urllib.request.Request(f"{server.url}/scim/v2/ServiceProviderConfig")
    with pytest.raises(urllib.error.HTTPError) as refused:
        urllib.request.urlopen(request)
    assert refused.value.code == 401
    assert json.loads(refused.value.read())["detail"] == "The bearer token is not valid."
