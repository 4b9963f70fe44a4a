"""People sign in to the portal at real SAML providers, with a real browser; and what attackers try, each refused."""

import json
from base64 import b64decode, b64encode
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

import boto3
import pytest
from lxml import etree
from playwright.sync_api import Browser, Page, expect

from tests.e2e.conftest import Account, Server
from tests.e2e.portal import Answer, Client, PortalServer, person, roles_on
from tests.e2e.saml import trust
from tests.e2e.scenes import allow, new_role, new_user, records, refused
from tests.identity_providers.browser import Form
from tests.identity_providers.certificates import KeyPair
from tests.identity_providers.saml import (
    AUDIENCE,
    CONSUMER_URL,
    SamlProvider,
    ServiceProvider,
    User,
    aws_attributes,
)
from tests.identity_providers.simplesamlphp import SimpleSamlPhp
from tests.ports import free_port

METADATA = "{urn:oasis:names:tc:SAML:2.0:metadata}"
NAME, LABEL = "corporate", "the corporate directory"
SEALED = "sealed"  # signs its requests, and wants assertions encrypted
ANNA = "anna@example.com"


@dataclass
class Scene:
    """Two accounts with the provider: `reader` and `writer` in the one, `analyst` in the other, where `auditor` is not
    offered; and one account in which a provider of the same name has other keys."""

    server: PortalServer
    provider: SamlProvider
    first: Account
    second: Account
    arns: dict[str, str]

    @property
    def origin(self) -> str:
        return self.server.origin

    @property
    def consumer(self) -> ServiceProvider:
        return ServiceProvider(consumer_url=f"{self.origin}/saml")

    def failure(self) -> str:
        return str(
            [one for one in records(self.server) if one["responseElements"] == {"ConsoleLogin": "Failure"}][
                -1
            ]["errorMessage"]
        )

    def unasked(self, consumer: ServiceProvider | None = None, user: str = "anna") -> Form:
        """What the browser would post after a sign-in that began at the provider."""
        return self.provider.sign_in(user, consumer or self.consumer)


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    with person(browser) as opened:
        yield opened


@pytest.fixture(scope="module", params=["simplesamlphp", "pysaml2"])
def scene(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    provider: SamlProvider = request.getfixturevalue(request.param)
    folder = tmp_path_factory.mktemp("portal")
    address, account_id = f"127.0.0.1:{free_port()}", "111122223333"
    arn = f"arn:aws:iam::{account_id}:saml-provider/corp"
    sealed = {"name": SEALED, "provider": f"{arn}-sealed", "sign_requests": True}
    entries = [{"name": NAME, "label": LABEL, "provider": arn}, sealed]
    server = PortalServer(
        folder,
        f"sqlite:{folder / 'broker.db'}",
        environment={"BROKER_PORTAL_SAML": json.dumps(entries)},
        portal=address,
    )
    with server.running():
        first, second = server.new_account(account_id), server.new_account()
        yield made_scene(server, provider, first, second)


def made_scene(server: PortalServer, provider: SamlProvider, first: Account, second: Account) -> Scene:
    metadata, arns, offered = provider.metadata(), {}, []
    for account, roles in ((first, ("reader", "writer")), (second, ("analyst", "auditor"))):
        iam = server.client("iam", account.root)
        made = iam.create_saml_provider(Name="corp", SAMLMetadataDocument=metadata)
        arns[account.account_id] = arn = made["SAMLProviderArn"]
        for role in roles:
            role_arn = new_role(server, account, role, trust(arn), allow("iam:ListRoles"))
            if role != "auditor":
                offered.append(f"{role_arn},{arn}")
    iam = server.client("iam", first.root)
    nobody = trust(arns[first.account_id], "sts:TagSession")
    iam.update_assume_role_policy(
        RoleName="writer", PolicyDocument=json.dumps({"Version": "2012-10-17", "Statement": nobody})
    )
    offered.append(f"arn:aws:iam::{first.account_id}:role/gone,{arns[first.account_id]}")
    provider.add_user("anna", User("her password", aws_attributes(offered, ANNA, tags={"team": "blue"})))
    provider.add_user("short", User("a password", aws_attributes(offered, "short", duration=900)))
    return Scene(server, provider, first, second, arns)


def newest(server: Server, name: str) -> dict[str, Any]:
    return [one for one in records(server) if one["eventName"] == name][-1]


def enter_password(page: Page) -> None:
    page.wait_for_load_state()  # a page that moves the focus when it has loaded would mix the two
    page.locator("input[name=username]").fill("anna")
    page.locator("input[name=password]").fill("her password")
    page.evaluate("document.forms[0].requestSubmit()")  # one of the providers has no button
    page.wait_for_load_state()


def post(client: Client, form: Form, **changes: str) -> Answer:
    """The form as a browser sends it from the provider's page: without our cookies (SameSite)."""
    return Client(client.server).post("/saml", {**form.values, **changes}, Origin="https://idp.example")


def sign_in_unasked(client: Client, form: Form, **changes: str) -> Answer:
    """As a browser does it: the provider's form, then that of the page which hands it on."""
    answer = post(client, form, **changes)
    return answer if answer.status != 200 else client.post("/saml/go-on", handed_on(answer))


def is_signed_in(client: Client) -> bool:
    return client.get("/access").status == 200


def test_a_person_begins_at_the_portal_and_sees_the_roles_that_are_offered_and_trust_the_provider(
    scene: Scene, page: Page
) -> None:
    scene.provider.add_consumer(scene.consumer)
    page.goto(scene.origin)
    page.get_by_role("link", name=f"Continue with {LABEL}").click()
    enter_password(page)
    expect(page).to_have_url(f"{scene.origin}/access")
    assert sorted(roles_on(page)) == ["analyst", "reader"]
    expect(page.locator(".who")).to_contain_text(f"signed in with {LABEL}")
    record = newest(scene.server, "ConsoleLogin")
    assert record["userIdentity"]["type"] == "SAMLUser"
    assert record["userIdentity"]["userName"] == ANNA
    assert record["additionalEventData"]["SamlProviderArn"] == scene.arns[scene.first.account_id]


def test_a_person_begins_at_the_provider_and_gets_credentials_of_several_roles(
    scene: Scene, page: Page
) -> None:
    scene.provider.add_consumer(scene.consumer)
    page.goto(f"{scene.provider.sign_on_url}?{urlencode({'spentityid': AUDIENCE})}")
    enter_password(page)
    expect(page).to_have_url(f"{scene.origin}/access")
    for role, account in (("reader", scene.first), ("analyst", scene.second)):
        page.goto(f"{scene.origin}/access")
        page.get_by_role("button", name=f"Get credentials of {role}").click()
        made = json.loads(page.locator("#text-json").text_content() or "")
        session = boto3.session.Session(
            made["AccessKeyId"], made["SecretAccessKey"], made["SessionToken"], "eu-west-1"
        )
        arn = f"arn:aws:sts::{account.account_id}:assumed-role/{role}/{ANNA}"
        assert session.client("sts", endpoint_url=scene.server.url).get_caller_identity()["Arn"] == arn
        record = newest(scene.server, "AssumeRoleWithSAML")
        assert record["userIdentity"]["type"] == "SAMLUser"
        assert record["responseElements"]["assumedRoleUser"]["arn"] == arn
        assert record["requestParameters"]["principalArn"] == scene.arns[account.account_id]


@pytest.mark.parametrize(
    "consumer_url",
    [
        CONSUMER_URL,
        "https://signin.aws.amazon.com/static/saml",
        "https://eu-central-1.signin.aws.amazon.com/saml",
    ],
)
def test_a_provider_that_is_set_up_for_aws_works_unchanged(scene: Scene, consumer_url: str) -> None:
    form = scene.unasked(ServiceProvider(consumer_url=consumer_url))
    assert form.action == consumer_url
    client = Client(scene.server)
    values = {**form.values, "RelayState": "https://console.aws.amazon.com/"}
    path = urlsplit(consumer_url).path
    shown = Client(scene.server).post(path, values, Origin="https://idp.example")
    answer = client.post("/saml/go-on", handed_on(shown))
    assert (answer.status, answer.header("Location")) == (303, "/access")
    assert is_signed_in(client)


def test_a_session_ends_when_the_provider_says(scene: Scene) -> None:
    client = Client(scene.server)
    assert sign_in_unasked(client, scene.unasked(user="short")).status == 303
    account = scene.first.account_id
    form = {"csrf_token": client.get("/access").token, "duration": "3600"}
    client.post(f"/access/{account}/reader", form)
    record = newest(scene.server, "AssumeRoleWithSAML")
    assert record["requestParameters"]["durationSeconds"] == 3600
    credentials = record["responseElements"]["credentials"]
    assert seconds_between(record["eventTime"], credentials["expiration"]) <= 900


def seconds_between(first: str, second: str) -> float:
    from dateutil.parser import parse

    return (parse(second) - parse(first)).total_seconds()


def test_an_assertion_signs_in_once_and_sts_does_not_take_it_then(scene: Scene) -> None:
    form, client = scene.unasked(ServiceProvider()), Client(scene.server)
    assert sign_in_unasked(client, form).status == 303
    thief = Client(scene.server)
    assert sign_in_unasked(thief, form).status == 403
    assert not is_signed_in(thief)
    for account, role in ((scene.first, "reader"), (scene.second, "analyst")):
        sts = scene.server.client("sts", None)
        _, code, _ = refused(
            lambda sts=sts, account=account, role=role: sts.assume_role_with_saml(
                RoleArn=f"arn:aws:iam::{account.account_id}:role/{role}",
                PrincipalArn=scene.arns[account.account_id],
                SAMLAssertion=form.values["SAMLResponse"],
            )
        )
        assert code == "InvalidIdentityToken"


def test_an_assertion_that_sts_took_does_not_sign_in(scene: Scene) -> None:
    form = scene.unasked(ServiceProvider())
    scene.server.client("sts", None).assume_role_with_saml(
        RoleArn=f"arn:aws:iam::{scene.second.account_id}:role/analyst",
        PrincipalArn=scene.arns[scene.second.account_id],
        SAMLAssertion=form.values["SAMLResponse"],
    )
    client = Client(scene.server)
    assert sign_in_unasked(client, form).status == 403
    assert not is_signed_in(client)


def asked(scene: Scene, client: Client) -> Form:
    """The provider's answer to a request that `client` was sent with."""
    scene.provider.add_consumer(scene.consumer)
    went = client.get(f"/sign-in/saml/{NAME}").header("Location")
    assert went.startswith(scene.provider.url)
    return scene.provider.sign_in_at(went, "anna")


def handed_on(answer: Answer) -> dict[str, str]:
    root = etree.HTML(answer.body)
    (field,) = root.xpath("//form[@action='/saml/go-on']/input")
    return {field.get("name"): field.get("value")}


def test_an_answer_to_a_request_is_good_once_and_only_in_the_browser_that_asked(scene: Scene) -> None:
    """Else a page could sign its visitors in as its owner (login CSRF)."""
    client, victim = Client(scene.server), Client(scene.server)
    proven = handed_on(post(client, asked(scene, client)))
    assert not is_signed_in(client)
    assert victim.post("/saml/go-on", proven).status == 403
    assert scene.failure().startswith("check failed: sign-in")
    victim.get(f"/sign-in/saml/{NAME}")
    assert victim.post("/saml/go-on", proven).status == 403
    assert scene.failure().startswith("check failed: request")
    assert not is_signed_in(victim)
    before = dict(client.cookies)
    assert client.post("/saml/go-on", proven).status == 303
    assert is_signed_in(client)
    thief = Client(scene.server, before)
    assert thief.post("/saml/go-on", proven).status == 403
    assert not is_signed_in(thief)


def test_an_unasked_answer_does_not_replace_the_session_of_somebody_else_unasked(scene: Scene) -> None:
    """Else a page could sign its visitors in as its owner (login CSRF)."""
    new_user(scene.server, scene.second, "victim")
    scene.server.set_password(scene.second, "victim")
    victim = Client(scene.server)
    assert victim.sign_in(scene.second.account_id, "victim").status == 303
    before, proven = dict(victim.cookies), handed_on(post(victim, scene.unasked()))
    stranger = Client(scene.server)  # the browser, which sends no cookie with the form of another site
    answer = stranger.post("/saml/go-on", proven, Origin="https://evil.example")
    assert (answer.status, "broker-session" in stranger.cookies) == (403, False)
    assert scene.failure().startswith("check failed: page")
    asked = victim.post("/saml/go-on", proven)
    assert (asked.status, victim.cookies) == (409, before)
    assert "victim" in asked.body
    assert ANNA in asked.body
    for token in ({}, {"csrf_token": "0" * 32}):
        assert victim.post("/saml/replace", {**proven, **token}).status == 403
    assert "victim" in victim.get("/access").body
    own = {**proven, "csrf_token": asked.token}
    assert victim.post("/saml/replace", own).header("Location") == "/access"
    assert ANNA in victim.get("/access").body
    assert Client(scene.server, before).get("/access").status == 303
    assert newest(scene.server, "Logout")["userIdentity"]["userName"] == "victim"


def test_an_unasked_answer_for_who_is_signed_in_already_asks_nothing(scene: Scene) -> None:
    client = Client(scene.server)
    for _ in range(2):
        assert sign_in_unasked(client, scene.unasked()).status == 303


@pytest.mark.parametrize("proven", ["", "x", "A" * 400])
def test_what_was_not_proven_here_is_not_believed(scene: Scene, proven: str) -> None:
    client = Client(scene.server)
    client.get(f"/sign-in/saml/{NAME}")
    assert client.post("/saml/go-on", {"proven": proven}).status == 403
    assert not is_signed_in(client)


def test_a_response_for_another_recipient_or_audience_is_refused(scene: Scene) -> None:
    client = Client(scene.server)
    for consumer in (
        ServiceProvider(consumer_url=f"{scene.origin}/elsewhere"),
        ServiceProvider(consumer_url=f"{scene.origin}/saml/"),
        ServiceProvider(consumer_url="http://127.0.0.1:1/saml"),
    ):
        assert post(client, scene.unasked(consumer)).status == 403
        assert "destination" in scene.failure() or "recipient" in scene.failure()
    other = ServiceProvider(entity_id="urn:another", consumer_url=f"{scene.origin}/saml")
    assert post(client, scene.unasked(other)).status == 403
    assert scene.failure().startswith("check failed: audience")
    assert not is_signed_in(client)


def test_a_response_with_one_thing_changed_is_refused(scene: Scene) -> None:
    text = b64decode(scene.unasked().values["SAMLResponse"])
    changes = {
        "role": text.replace(b":role/reader", b":role/writer"),
        "name": text.replace(b"anna@example.com", b"root@example.com"),
        "issuer": text.replace(scene.provider.entity_id.encode(), b"https://evil.example"),
        "unsigned": b"<Response/>",
        "not XML": b"\x00",
        "entity": b'<!DOCTYPE a [<!ENTITY b "c">]>' + text,
    }
    for name, changed in changes.items():
        client = Client(scene.server)
        form = Form("", "POST", {"SAMLResponse": b64encode(changed).decode()})
        assert post(client, form).status == 403, name
        assert scene.failure().startswith("check failed: "), name
        assert not is_signed_in(client), name


@pytest.mark.parametrize(
    "relay_state", ["https://evil.example/", "//evil.example", "javascript:alert(1)", "/sign-out"]
)
def test_relay_state_leads_nowhere(scene: Scene, relay_state: str) -> None:
    client = Client(scene.server)
    answer = sign_in_unasked(client, scene.unasked(), RelayState=relay_state)
    assert answer.header("Location") == "/access"
    assert "evil" not in answer.body


@pytest.mark.parametrize(
    ("body", "headers", "status"),
    [
        (b"SAMLResponse=" + b"A" * (330 << 10), {}, 413),
        (b"SAMLResponse=a&SAMLResponse=b", {}, 400),
        (b"SAMLResponse=" + b"A" * 100_001, {}, 403),
        (b"", {}, 403),
        (b"{}", {"Content-Type": "application/json"}, 415),
    ],
)
def test_what_is_no_response_is_refused(
    scene: Scene, body: bytes, headers: dict[str, str], status: int
) -> None:
    assert Client(scene.server).post("/saml", body, **headers).status == status


def test_the_request_and_the_metadata_say_where_the_answer_is_taken(scene: Scene) -> None:
    client = Client(scene.server)
    went = client.get(f"/sign-in/saml/{NAME}?RelayState=https://evil.example").header("Location")
    assert set(parse_qs(urlsplit(went).query)) == {"SAMLRequest"}
    root = etree.fromstring(client.get("/static/saml-metadata.xml").body.encode())
    assert root.get("entityID") == AUDIENCE
    services = list(root.iter("{urn:oasis:names:tc:SAML:2.0:metadata}AssertionConsumerService"))
    assert services[0].get("Location") == f"{scene.origin}/saml"
    assert [one.get("isDefault") for one in services] == ["true"] + ["false"] * (len(services) - 1)


def test_a_provider_that_was_made_again_vouches_for_nobody_who_signed_in_before(scene: Scene) -> None:
    client = Client(scene.server)
    assert sign_in_unasked(client, scene.unasked()).status == 303
    assert "analyst" in client.get("/access").body
    iam, arn = scene.server.client("iam", scene.second.root), scene.arns[scene.second.account_id]
    metadata = scene.provider.metadata()
    iam.delete_saml_provider(SAMLProviderArn=arn)
    assert "analyst" not in client.get("/access").body
    iam.create_saml_provider(Name="corp", SAMLMetadataDocument=metadata)
    assert "reader" in client.get("/access").body


def sealed_consumer(scene: Scene, key: KeyPair) -> ServiceProvider:
    """The way in that signs its requests and has its assertions encrypted to `key`, as the provider knows it."""
    iam = scene.server.client("iam", scene.first.root)
    made = iam.create_saml_provider(
        Name="corp-sealed",
        SAMLMetadataDocument=scene.provider.metadata(),
        AssertionEncryptionMode="Required",
        AddPrivateKey=key.private_pem,
    )
    arn = made["SAMLProviderArn"]
    role = new_role(scene.server, scene.first, "vault-keeper", trust(arn), allow("iam:ListRoles"))
    scene.provider.add_user("anna", User("her password", aws_attributes([f"{role},{arn}"], ANNA)))
    provider_id = iam.get_saml_provider(SAMLProviderArn=arn)["SAMLProviderUUID"]
    metadata = etree.fromstring(Client(scene.server).get("/static/saml-metadata.xml").body.encode())
    (certificate,) = metadata.iter("{http://www.w3.org/2000/09/xmldsig#}X509Certificate")
    consumer_url = f"{scene.origin}/saml/acs/{provider_id}"
    assert consumer_url in [
        one.get("Location") for one in metadata.iter(f"{METADATA}AssertionConsumerService")
    ]
    return ServiceProvider(consumer_url=consumer_url, encrypts_to=key, signs_with=str(certificate.text))


def test_requests_are_signed_and_assertions_encrypted_where_the_provider_wants_it(
    scene: Scene, page: Page
) -> None:
    anna = scene.provider.users["anna"]
    consumer = sealed_consumer(scene, KeyPair("the portal"))
    try:
        scene.provider.add_consumer(consumer)
        client = Client(scene.server)
        went = client.get(f"/sign-in/saml/{SEALED}").header("Location")
        assert list(parse_qs(urlsplit(went).query)) == ["SAMLRequest", "SigAlg", "Signature"]
        form = scene.provider.sign_in_at(went, "anna")
        assert form.action == consumer.consumer_url
        path = urlsplit(form.action).path
        stranger = Client(scene.server)
        assert b"EncryptedAssertion" in b64decode(form.values["SAMLResponse"])
        assert stranger.post("/saml", form.values, Origin="https://idp.example").status == 403
        other = f"{path[:-1]}{'A' if path[-1] != 'A' else 'B'}"
        assert stranger.post(other, form.values, Origin="https://idp.example").status == 403
        proven = handed_on(stranger.post(path, form.values, Origin="https://idp.example"))
        assert client.post("/saml/go-on", proven).status == 303
        assert "vault-keeper" in client.get("/access").body
        if isinstance(scene.provider, SimpleSamlPhp):  # pysaml2's server of the tests verifies no request
            unsigned = went.partition("&SigAlg")[0]
            with pytest.raises(AssertionError):
                scene.provider.sign_in_at(unsigned, "anna")
            begin_by_a_form(scene, page)
    finally:
        scene.provider.add_user("anna", anna)


def begin_by_a_form(scene: Scene, page: Page) -> None:
    """The same where the provider takes requests by POST alone: the page's form has the signed document."""
    iam = scene.server.client("iam", scene.first.root)
    by_post = scene.provider.metadata().replace("bindings:HTTP-Redirect", "bindings:HTTP-POST")
    arn = f"{scene.arns[scene.first.account_id]}-sealed"
    iam.update_saml_provider(SAMLProviderArn=arn, SAMLMetadataDocument=by_post)
    shown = Client(scene.server).get(f"/sign-in/saml/{SEALED}").body
    (value,) = etree.HTML(shown).xpath("//input[@name='SAMLRequest']/@value")
    root = etree.fromstring(b64decode(value))
    assert root.find("{http://www.w3.org/2000/09/xmldsig#}Signature") is not None
    page.goto(f"{scene.origin}/sign-in/saml/{SEALED}")
    page.wait_for_url(f"{scene.provider.url}/**")
    enter_password(page)
    expect(page).to_have_url(f"{scene.origin}/access")
    assert roles_on(page) == ["vault-keeper"]
