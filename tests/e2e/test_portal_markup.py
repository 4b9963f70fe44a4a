"""XSS through every field that is shown: all that takes free text holds markup, and a browser walks through all pages.

The crawl follows the links of each page, a few of each kind. On no page may the markup have become an element, a script
of it have run, or the Content-Security-Policy have stopped one; and each text has to be seen somewhere, as it is.
"""

import json
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from urllib.parse import parse_qsl, quote, urlsplit
from xml.sax.saxutils import quoteattr

import pytest
from ldap3.utils.dn import escape_rdn
from playwright.sync_api import Browser, Page

from tests.e2e.conftest import Account
from tests.e2e.portal import PortalServer, person, sign_in
from tests.e2e.portal_federation import CLIENT, LABEL, TESTER, portal_settings
from tests.e2e.saml import trust as trust_saml
from tests.e2e.scenes import allow, document, new_role, new_user, refused, trust
from tests.e2e.test_portal_directory import ADMIN, ADMIN_PASSWORD, PEOPLE
from tests.e2e.test_portal_openid_connect import begin_test, sign_in_there
from tests.e2e.test_sso_attacks import register
from tests.e2e.web_identity import trust as trust_openid
from tests.identity_providers.openid_provider import Client as ProviderClient
from tests.identity_providers.openid_provider import OpenIdProvider
from tests.identity_providers.saml import SamlProvider, ServiceProvider, User, aws_attributes
from tests.identity_providers.slapd import Slapd
from tests.ports import free_port
from tests.unit.assertions.saml_provider import KeyPair
from tests.unit.assertions.saml_provider import metadata as saml_metadata

MARKUP = "\"'><img class=planted src=x onerror=planted()>"
SHORT_MARKUP, SHORT = "\"'><b class=planted>", ("member",)
MOST_PAGES, MOST_OF_A_KIND = 160, 3
# What a page shows, and what of the markup came to life. Shown is also what a field holds, and a title.
LOOK = """() => {
  const shown = [document.documentElement.textContent, document.title];
  for (const one of document.querySelectorAll("input, textarea, [title], [aria-label]"))
    shown.push(one.value ?? "", one.title, one.getAttribute("aria-label") ?? "");
  return {
    shown: shown.join(" "),
    alive: document.querySelectorAll(".planted, [onerror]").length + window.ranPlanted.length,
    links: [...document.links].map((one) => one.href),
  };
}"""
WATCH = (
    "window.ranPlanted = []; window.planted = () => window.ranPlanted.push(1); window.alert = window.planted;"
)


def marked(name: str) -> str:
    """A text for the field `name`; some names may have fifty characters."""
    return f"{name}{SHORT_MARKUP if name in SHORT else MARKUP}"


@dataclass
class World:
    server: PortalServer
    home: Account
    issuer: str
    tester_secret: str

    @property
    def path(self) -> str:
        return f"{self.server.origin}/console/{self.home.account_id}"


@dataclass
class Walk:
    """What was seen: `texts` of all pages, `visited` addresses."""

    page: Page
    origin: str
    texts: list[str] = field(default_factory=list)
    visited: list[str] = field(default_factory=list)

    def look(self) -> list[str]:
        """Remembers what the page shows; answers its links. Nothing planted may be alive."""
        seen = self.page.evaluate(LOOK)
        assert seen["alive"] == 0, self.page.url
        self.texts.append(seen["shown"].replace('\\"', '"'))
        self.visited.append(self.page.url)
        return list(seen["links"])

    def open(self, address: str) -> list[str]:
        self.page.goto(address)
        return self.look()

    def crawl(self, *starts: str) -> None:
        waiting, kinds = list(starts), Counter[object]()
        known = set(waiting)
        while waiting and len(self.visited) < MOST_PAGES:
            for link in self.open(waiting.pop(0)):
                address, kind = link.partition("#")[0], kind_of(link)
                if address.startswith(f"{self.origin}/") and address not in known:
                    known.add(address)
                    kinds[kind] += 1
                    if kinds[kind] <= MOST_OF_A_KIND:
                        waiting.append(address)

    def saw(self, text: str) -> bool:
        return any(text in one for one in self.texts)


def kind_of(address: str) -> tuple[object, ...]:
    """The same for pages of one kind: their section, how deep they are below it, and what is in the query."""
    parts = urlsplit(address)
    segments = parts.path.split("/")
    names = {name for name, _ in parse_qsl(parts.query)}
    if segments[-1] == "journal":
        names &= {"record", "after"}  # each cell narrows it, in every combination
    return (segments[1], *segments[3:4], "aws" in segments, len(segments), *sorted(names))


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory, slapd: Slapd, pysaml2: SamlProvider) -> Iterator[World]:
    folder, address = tmp_path_factory.mktemp("markup"), f"127.0.0.1:{free_port()}"
    at = f"http://{address}"
    client = ProviderClient(CLIENT, redirect_uri=f"{at}/sign-in/with/company/answer")
    claims = {"email": marked("email"), "groups": [marked("claim")], "given": marked("given")}
    provider = OpenIdProvider(folder, [client], {"erin": claims}, {})
    tester = ProviderClient(TESTER, redirect_uri=f"{at}{path_of_answer(provider.issuer)}")
    provider.clients[TESTER] = tester
    with provider.running():
        environment = settings_of(provider.issuer, client.secret, slapd)
        server = PortalServer(
            folder, f"sqlite:{folder / 'broker.db'}", environment=environment, portal=address
        )
        with server.running():
            home = server.new_account("111122223333")
            seed(server, home, provider.issuer, pysaml2)
            slapd.add_person(escape_rdn(marked("ldap")), "ldap password")
            yield World(server, home, provider.issuer, tester.secret)


def path_of_answer(issuer: str) -> str:
    name = sha256(issuer.removeprefix("http://").encode()).hexdigest()[:16]
    return f"/console/test-sign-in/{name}/answer"


def settings_of(issuer: str, secret: str, slapd: Slapd) -> dict[str, str]:
    entry = {
        "name": "company",
        "label": LABEL,
        "issuer": issuer,
        "client_id": CLIENT,
        "client_secret": secret,
        "scopes": ["openid"],
        "name_claims": ["email"],
    }
    saml = {
        "name": "corporate",
        "label": marked("label"),
        "provider": "arn:aws:iam::111122223333:saml-provider/corp",
    }
    return {
        **portal_settings([entry]),
        "BROKER_PORTAL_SAML": json.dumps([saml]),
        "BROKER_PORTAL_HELP_TEXT": marked("help"),
        "BROKER_LDAP_SERVERS": slapd.tls_url,
        "BROKER_LDAP_PROVIDER": "ldap.example.com",
        "BROKER_LDAP_CERTIFICATE_AUTHORITIES": str(slapd.authority_file),
        "BROKER_LDAP_SEARCH_BASE": PEOPLE,
        "BROKER_LDAP_BIND_DN": ADMIN,
        "BROKER_LDAP_BIND_PASSWORD": ADMIN_PASSWORD,
    }


def seed(server: PortalServer, home: Account, issuer: str, provider: SamlProvider) -> None:
    seed_entities(server, home, issuer)
    seed_providers(server, home, issuer, provider)
    seed_organization(server, home)
    seed_instance(server, home)
    seed_journal(server, home)


def seed_entities(server: PortalServer, home: Account, issuer: str) -> None:
    iam = server.client("iam", home.root)
    new_user(server, home, "dana", allow("iam:*", "sts:*", "cloudtrail:*", "organizations:*", "signin:*"))
    server.set_password(home, "dana")
    user = f"arn:aws:iam::{home.account_id}:user/dana"
    new_role(server, home, "reader", trust(user), allow("s3:Get*"), Description=marked("role"))
    conditions = {"StringEquals": {f"aws:PrincipalTag/{marked('key')}": marked("value")}}
    text = document(allow("s3:GetObject", on=f"arn:aws:s3:::{marked('bucket')}", Condition=conditions))
    arn = iam.create_policy(PolicyName="reports", PolicyDocument=text, Description=marked("policy"))[
        "Policy"
    ]["Arn"]
    iam.create_policy_version(
        PolicyArn=arn, PolicyDocument=text.replace("bucket", "version"), SetAsDefault=True
    )
    iam.attach_user_policy(UserName="dana", PolicyArn=arn)
    iam.create_group(GroupName="operators")
    inline = document(allow("sqs:*", on=f"arn:aws:sqs:*:*:{marked('queue')}"))
    iam.put_group_policy(GroupName="operators", PolicyName="inline", PolicyDocument=inline)


def seed_providers(server: PortalServer, home: Account, issuer: str, provider: SamlProvider) -> None:
    iam = server.client("iam", home.root)
    made = iam.create_open_id_connect_provider(Url=issuer, ClientIDList=[CLIENT, TESTER, marked("client")])
    of_client = {"StringEquals": {f"{issuer.removeprefix('http://')}:aud": marked("audience")}}
    new_role(server, home, "guest", trust_openid(made["OpenIDConnectProviderArn"], **of_client))
    metadata = saml_metadata(KeyPair(), entity=quoteattr(marked("entity"))[1:-1])
    iam.create_saml_provider(Name="odd", SAMLMetadataDocument=metadata)
    arn = iam.create_saml_provider(Name="corp", SAMLMetadataDocument=provider.metadata())["SAMLProviderArn"]
    role = new_role(server, home, "staff", trust_saml(arn), allow("iam:List*"))
    attributes = aws_attributes([f"{role},{arn}"], "anna@example.com")
    provider.add_user(marked("subject"), User("her password", attributes))


def seed_organization(server: PortalServer, home: Account) -> None:
    client = server.client("organizations", home.root)
    client.create_organization()
    root = client.list_roots()["Roots"][0]["Id"]
    client.enable_policy_type(RootId=root, PolicyType="SERVICE_CONTROL_POLICY")
    statement = {"Effect": "Deny", "Action": "s3:*", "Resource": f"arn:aws:s3:::{marked('guarded')}"}
    policy = client.create_policy(
        Name=marked("guard"),
        Type="SERVICE_CONTROL_POLICY",
        Description=marked("guards"),
        Content=document(statement),
        Tags=[{"Key": "why", "Value": "x"}],
    )["Policy"]["PolicySummary"]["Id"]
    client.attach_policy(PolicyId=policy, TargetId=root)
    client.create_organizational_unit(ParentId=root, Name=marked("unit"))
    client.create_account(Email="member@example.com", AccountName=marked("member"))


def seed_instance(server: PortalServer, home: Account) -> None:
    instance = {
        "account_id": home.account_id,
        "addresses": ["192.0.2.7"],
        "tags": {"Name": marked("machine")},
    }
    file = Path(server.folder, "instances.json.yaml")
    file.write_text(json.dumps({"instances": {"i-0a1b2c3d4e5f60718": instance}}))
    server.command("apply", str(file))


def seed_journal(server: PortalServer, home: Account) -> None:
    """Records whose request parameters, resources, errors and user agents are the caller's own texts."""
    iam = server.client("iam", home.root, user_agent=marked("agent"), parameter_validation=False)
    refused(iam.get_policy, PolicyArn=f"arn:aws:iam::{home.account_id}:policy/{marked('arn')}")
    refused(iam.get_user, UserName=marked("user"))
    asking = {
        "OwnerAccountId": home.account_id,
        "Description": marked("delegation"),
        "RequestMessage": marked("message"),
        "Permissions": {"PolicyTemplateArn": f"arn:aws:iam::{home.account_id}:policy/reports"},
        "RequestorWorkflowId": "ticket-1",
        "NotificationChannel": "poll",
        "SessionDuration": 900,
    }
    iam.create_delegation_request(**asking)


@pytest.fixture(scope="module")
def walk(world: World, browser: Browser) -> Iterator[Walk]:
    with person(browser, user_agent=marked("browser")) as page:
        page.add_init_script(WATCH)
        yield Walk(page, world.server.origin)


def records_named(world: World, walk: Walk, *names: str) -> None:
    """Opens the newest record of each event, which the crawl may not come to."""
    for name in names:
        walk.open(f"{world.path}/journal?event={name}")
        walk.open(walk.page.get_by_role("link", name="open the record").first.evaluate("one => one.href"))


def enter(walk: Walk, address: str, button: str, **fields: str) -> None:
    """A form with markup in its fields, whose answer is looked at."""
    walk.page.goto(address)
    for name, text in fields.items():
        walk.page.locator(f"[name={name}]").first.fill(text)
    walk.page.get_by_role("button", name=button).first.click()
    walk.page.wait_for_load_state()
    walk.look()


def ask_in_addresses(world: World, walk: Walk) -> None:
    for path, field_name in (
        ("/search?q=", "sought"),
        ("/journal?principal=", "principal"),
        ("/journal?since=", "moment"),
        ("/users?q=", ""),
        ("/simulator?action=iam:GetUser&principal=", "asked"),
        (f"/simulator?principal=arn:aws:iam::{world.home.account_id}:user/dana&action=s3:x&resource=", "on"),
        ("/users/", ""),
    ):
        walk.open(f"{world.path}{path}{quote(marked(field_name or 'any'))}")
    walk.open(f"{world.server.origin}/device?user_code={quote(MARKUP[:20])}")
    walk.open(f"{world.server.origin}/{quote(marked('nowhere'))}")


def enter_forms(world: World, walk: Walk) -> None:
    enter(walk, f"{world.path}/new/user", "Create user", UserName=marked("new-user"))
    enter(walk, f"{world.path}/new/group", "Create group", GroupName=marked("new-group"))
    text = document({**allow(marked("action")), "Sid": marked("sid")})
    walk.page.goto(f"{world.path}/new/policy")
    walk.page.get_by_label("Policy document").fill(text)  # the script shows what is wrong with it
    walk.page.locator("#findings").get_by_text("Error").first.wait_for()
    walk.look()
    enter(walk, f"{world.path}/new/policy", "Check", PolicyDocument=text, Description=marked("new-policy"))
    enter(walk, f"{world.path}/new/openid-provider", "Look at", Url=f"https://{marked('issuer')}")


def visit_clients(world: World, walk: Walk) -> None:
    client = register(world.server, clientName=marked("sso-client"))
    walk.open(f"{world.server.origin}{client.authorize()}")
    walk.page.goto(client.start()["verificationUriComplete"])
    walk.page.get_by_role("button", name="Continue").click()
    walk.look()
    walk.page.get_by_role("button", name="Allow access").click()
    walk.look()


def sign_in_with_openid(world: World, walk: Walk) -> None:
    walk.page.goto(world.server.origin)
    walk.look()
    walk.page.get_by_role("link", name=f"Continue with {LABEL}").click()
    sign_in_there(walk.page, "erin")
    walk.crawl(f"{world.server.origin}/access", f"{world.server.origin}/security")


def sign_in_with_ldap(world: World, walk: Walk) -> None:
    address = f"{world.server.origin}/sign-in/directory"
    enter(walk, address, "Sign in", user_name=marked("ldap"), password="ldap password")
    walk.open(f"{world.server.origin}/access")


def sign_in_with_saml(world: World, walk: Walk, provider: SamlProvider) -> None:
    provider.add_consumer(ServiceProvider(consumer_url=f"{world.server.origin}/saml"))
    walk.page.goto(f"{world.server.origin}/sign-in/saml/corporate")
    walk.page.locator("input[name=username]").fill(marked("subject"))
    walk.page.locator("input[name=password]").fill("her password")
    walk.page.evaluate("document.forms[0].requestSubmit()")
    walk.page.wait_for_url(f"{world.server.origin}/access")
    walk.look()
    walk.page.get_by_role("button", name="Get credentials of staff").click()
    walk.look()


def as_others(browser: Browser, walk: Walk, act: Callable[[Walk], object]) -> None:
    with person(browser) as page:
        page.add_init_script(WATCH)
        other = Walk(page, walk.origin)
        act(other)
        walk.texts += other.texts


SHOWN = (
    *("role", "policy", "key", "value", "bucket", "version", "queue"),
    *("client", "audience", "entity", "label", "help"),
    *("guard", "guards", "guarded", "unit", "member"),
    *("machine",),
    *("agent", "arn", "user", "delegation", "message", "browser"),
    *("sought", "principal", "asked", "on"),
    *("new-user", "new-group", "action", "sid", "new-policy", "issuer"),
    *("sso-client", "email", "claim", "given", "ldap", "subject"),
)


def test_markup_in_every_field_that_is_shown_stays_text(
    world: World, walk: Walk, browser: Browser, pysaml2: SamlProvider
) -> None:
    origin = world.server.origin
    sign_in(walk.page, origin, world.home.account_id, "dana")
    walk.look()
    as_others(browser, walk, lambda other: sign_in_with_saml(world, other, pysaml2))
    as_others(browser, walk, lambda other: sign_in_with_ldap(world, other))
    as_others(browser, walk, lambda other: sign_in_with_openid(world, other))
    ask_in_addresses(world, walk)
    enter_forms(world, walk)
    visit_clients(world, walk)
    records_named(
        world, walk, "GetPolicy", "GetUser", "CreateDelegationRequest", "AssumeRoleWithSAML", "CreatePolicy"
    )
    walk.page.goto(f"{world.path}/providers/openid/{world.issuer.removeprefix('http://')}")
    begin_test(walk.page, world, world.tester_secret)  # type: ignore[arg-type]
    sign_in_there(walk.page, "erin")
    walk.look()
    walk.crawl(f"{world.path}/overview", f"{origin}/access", f"{origin}/security")
    assert len(walk.visited) < MOST_PAGES, "the walk ended before it had seen all kinds of pages"
    missing = [name for name in SHOWN if not walk.saw(marked(name))]
    assert not missing, missing


def test_the_walk_finds_markup_that_is_alive(browser: Browser) -> None:
    with person(browser) as page:
        page.add_init_script(WATCH)
        page.goto("data:text/html,<p>")
        page.set_content(f"<p>{marked('x')}</p>")
        walk = Walk(page, "")
        with pytest.raises(AssertionError):
            walk.look()
