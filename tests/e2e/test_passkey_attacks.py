"""What an attacker tries with passkeys: each is refused, with the exact reason in the journal alone."""

import html
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from tests.authenticator import Authenticator
from tests.e2e.conftest import ROOT, Account, Keys
from tests.e2e.portal import PASSWORD, Answer, Client, PortalServer
from tests.e2e.scenes import Phone, allow, new_user, records

GUIDE = ROOT / "config" / "passkeys.md"
DENIED = "This passkey was not accepted."


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PortalServer]:
    folder = tmp_path_factory.mktemp("passkey-attacks")
    server = PortalServer(folder, f"sqlite:{folder / 'broker.db'}")
    with server.running():
        yield server


@pytest.fixture(scope="module")
def home(server: PortalServer) -> Account:
    return server.new_account()


@dataclass
class Named(Client):
    """A client that calls the portal by a name, for passkeys are bound to one."""

    @property
    def host(self) -> str:
        return f"localhost:{self.server.portal.rpartition(':')[2]}"

    @property
    def origin(self) -> str:
        return f"http://{self.host}"

    def send(self, method: str, path: str, headers: dict[str, str], body: bytes | None = None) -> Answer:
        named = {**headers, "Host": self.host}
        if "Origin" in headers:
            named["Origin"] = self.origin
        return super().send(method, path, named, body)


def asked_for(answer: Answer) -> tuple[dict[str, Any], dict[str, str]]:
    """What the page asks an authenticator for, and the fields that its form sends back."""
    options = re.search(r'data-options="([^"]*)"', answer.body)
    challenge = re.search(r'name="challenge" value="([^"]*)"', answer.body)
    assert options is not None, answer.body
    assert challenge is not None
    fields = {"csrf_token": answer.token, "challenge": challenge[1]}
    return json.loads(html.unescape(options[1])), fields


def begin(client: Client, name: str = "key") -> Answer:
    token = client.get("/security").token
    return client.post("/security/passkeys", {"csrf_token": token, "passkey_name": name})


def enable(client: Client, authenticator: Authenticator, name: str = "key") -> Answer:
    options, fields = asked_for(begin(client, name))
    form = {**fields, "passkey_name": name, "passkey": authenticator.create(options)}
    return client.post("/security/passkeys/enable", form)


def show(client: Client, authenticator: Authenticator) -> Answer:
    options, fields = asked_for(client.get("/sign-in/code"))
    return client.post("/sign-in/code", {**fields, "passkey": authenticator.get(options)})


@dataclass
class Person:
    """A user with a passkey; `client` is signed in."""

    server: PortalServer
    home: Account
    name: str
    client: Named
    authenticator: Authenticator

    def at_second_factor(self) -> Named:
        """Somebody who knows the person's password."""
        client = Named(self.server)
        assert client.sign_in(self.home.account_id, self.name).header("Location") == "/sign-in/code"
        return client


@pytest.fixture
def someone(server: PortalServer, home: Account) -> Any:
    def make(name: str) -> Person:
        new_user(server, home, name, allow("iam:*"))
        server.set_password(home, name)
        client = Named(server)
        assert client.sign_in(home.account_id, name).status == 303
        authenticator = Authenticator(client.origin, "localhost")
        assert enable(client, authenticator).status == 303
        return Person(server, home, name, client, authenticator)

    return make


def last(server: PortalServer, name: str) -> dict[str, Any]:
    """The last record of this event: those of strangers are in a file of their own."""
    return [one for one in records(server) if one["eventName"] == name][-1]


def is_refused(server: PortalServer, answer: Answer, reason: str) -> bool:
    """The journal says why; the page does not."""
    record = [one for one in records(server) if one["responseElements"] == {"ConsoleLogin": "Failure"}][-1]
    assert reason in record["errorMessage"], record["errorMessage"]
    assert html.escape(record["errorMessage"]) not in answer.body
    assert DENIED in answer.body
    return answer.status == 403


def test_a_passkey_proves_its_person_and_is_known_as_a_second_factor(
    server: PortalServer, home: Account, someone: Any
) -> None:
    alice = someone("alice")
    client = alice.at_second_factor()
    assert Named(server, dict(client.cookies)).get("/access").status == 303, "a password alone opens nothing"
    assert show(client, alice.authenticator).header("Location") == "/access"
    assert client.get("/access").status == 200
    checked, login = [one for one in records(server) if one["eventSource"] == "signin.amazonaws.com"][-2:]
    assert checked["additionalEventData"] == {"MfaType": "U2F MFA"}
    assert login["additionalEventData"]["MFAUsed"] == "Yes"
    assert f":u2f/user/{alice.name}/key-" in login["additionalEventData"]["MFAIdentifier"]
    only_with_mfa = allow("iam:*", Condition={"Bool": {"aws:MultiFactorAuthPresent": "true"}})
    document = json.dumps({"Version": "2012-10-17", "Statement": [only_with_mfa]})
    iam = server.client("iam", home.root)
    iam.put_user_policy(UserName="alice", PolicyName=policy_of(iam, "alice"), PolicyDocument=document)
    assert "u2f" in client.get(f"/console/{home.account_id}/users/alice").body
    assert "u2f" not in alice.client.get(f"/console/{home.account_id}/users/alice").body


def policy_of(iam: Any, name: str) -> str:
    return str(iam.list_user_policies(UserName=name)["PolicyNames"][0])


def test_an_answer_is_good_once(server: PortalServer, someone: Any) -> None:
    alice = someone("alice-once")
    client = alice.at_second_factor()
    stolen = dict(client.cookies)
    options, fields = asked_for(client.get("/sign-in/code"))
    form = {**fields, "passkey": alice.authenticator.get(options)}
    assert client.post("/sign-in/code", form).header("Location") == "/access"
    thief = Named(server, dict(stolen))
    assert is_refused(server, thief.post("/sign-in/code", form), "challenge was answered before")


def test_a_wrong_answer_uses_the_challenge_up(server: PortalServer, someone: Any) -> None:
    alice = someone("alice-twice")
    client = alice.at_second_factor()
    options, fields = asked_for(client.get("/sign-in/code"))
    assert is_refused(server, client.post("/sign-in/code", {**fields, "passkey": "{}"}), "refused")
    form = {**fields, "passkey": alice.authenticator.get(options)}
    assert is_refused(server, client.post("/sign-in/code", form), "challenge was answered before")
    assert show(client, alice.authenticator).header("Location") == "/access"


def test_a_challenge_is_of_one_sign_in(server: PortalServer, someone: Any) -> None:
    alice = someone("alice-elsewhere")
    victim, attacker = alice.at_second_factor(), alice.at_second_factor()
    options, fields = asked_for(attacker.get("/sign-in/code"))
    form = {**fields, "passkey": alice.authenticator.get(options)}
    form["csrf_token"] = victim.get("/sign-in/code").token
    assert is_refused(server, victim.post("/sign-in/code", form), "challenge is of another sign-in")
    form["challenge"] = asked_for(victim.get("/sign-in/code"))[1]["challenge"]
    assert is_refused(server, victim.post("/sign-in/code", form), "challenge")
    assert victim.get("/access").status == attacker.get("/access").status == 303


@pytest.mark.parametrize(
    ("name", "origin", "host_name", "reason"),
    [
        ("phished", "http://localhost.example.net", "localhost.example.net", "origin"),
        ("other-port", "http://localhost:1", "localhost", "origin"),
        ("other-scheme", "https://localhost", "localhost", "origin"),
        ("other-name", None, "example.net", "RP ID"),
    ],
)
def test_what_was_signed_for_another_site_is_refused(
    server: PortalServer, someone: Any, name: str, origin: str | None, host_name: str, reason: str
) -> None:
    alice = someone(f"alice-{name}")
    client = alice.at_second_factor()
    own = alice.authenticator.origin
    alice.authenticator.origin, alice.authenticator.host_name = origin or own, host_name
    assert is_refused(server, show(client, alice.authenticator), reason)


def test_a_copy_of_an_authenticator_is_found_out_by_its_counter(server: PortalServer, someone: Any) -> None:
    alice = someone("alice-copied")
    assert show(alice.at_second_factor(), alice.authenticator).status == 303
    assert show(alice.at_second_factor(), alice.authenticator).status == 303
    alice.authenticator.count -= 1
    client = alice.at_second_factor()
    assert is_refused(server, show(client, alice.authenticator), "sign count")
    assert show(client, alice.authenticator).header("Location") == "/access"


def test_a_passkey_of_somebody_else_opens_nothing(server: PortalServer, someone: Any) -> None:
    alice, bob = someone("alice-victim"), someone("bob-attacker")
    client = alice.at_second_factor()
    assert is_refused(server, show(client, bob.authenticator), "none of the person's passkeys")
    bob.authenticator.credential_id = alice.authenticator.credential_id
    assert is_refused(server, show(client, bob.authenticator), "another user")
    bob.authenticator.handle = alice.authenticator.handle
    assert is_refused(server, show(client, bob.authenticator), "signature")
    assert enable(bob.client, bob.authenticator, "stolen").status == 409


def test_a_passkey_that_was_removed_opens_nothing(server: PortalServer, home: Account, someone: Any) -> None:
    alice = someone("alice-removed")
    second = Authenticator(alice.client.origin, "localhost")
    assert enable(alice.client, second, "second").status == 303
    iam = server.client("iam", home.root)
    client = alice.at_second_factor()
    options, fields = asked_for(client.get("/sign-in/code"))
    serial = next(
        one["SerialNumber"]
        for one in iam.list_mfa_devices(UserName=alice.name)["MFADevices"]
        if "/key-" in one["SerialNumber"]
    )
    iam.deactivate_mfa_device(UserName=alice.name, SerialNumber=serial)
    form = {**fields, "passkey": alice.authenticator.get(options)}
    assert is_refused(server, client.post("/sign-in/code", form), "none of the person's passkeys")
    assert show(client, second).header("Location") == "/access"


def test_a_session_that_was_planted_means_nothing_after_the_second_factor(
    server: PortalServer, someone: Any
) -> None:
    alice, mallory = someone("alice-fixed"), someone("mallory")
    client = alice.at_second_factor()
    planted = mallory.client.cookies["broker-session"]
    half_way = dict(client.cookies)
    assert show(client, alice.authenticator).header("Location") == "/access"
    assert client.cookies["broker-session"] != planted
    assert "alice-fixed" in client.get("/security").body
    # What was known before the second factor is no session, and still needs the second factor.
    assert Named(server, dict(half_way)).get("/access").status == 303
    as_session = {**half_way, "broker-session": half_way["broker-sign-in"]}
    assert Named(server, as_session).get("/access").status == 303


def test_no_page_of_another_site_adds_a_passkey(server: PortalServer, someone: Any) -> None:
    alice = someone("alice-forged")
    for path in ("/security/passkeys", "/security/passkeys/enable"):
        assert alice.client.post(path, {"passkey_name": "key"}).status == 403
        assert alice.client.post(path, {"passkey_name": "key", "csrf_token": "0" * 32}).status == 403


def test_a_passkey_is_enabled_in_the_session_that_asked_for_it(server: PortalServer, someone: Any) -> None:
    alice, mallory = someone("alice-lured"), someone("mallory-lures")
    options, fields = asked_for(begin(mallory.client))
    mallory.authenticator.credential_id = b"new" * 8
    form = {**fields, "passkey_name": "key", "passkey": mallory.authenticator.create(options)}
    form["csrf_token"] = alice.client.get("/security").token
    assert alice.client.post("/security/passkeys/enable", form).status == 400
    form["csrf_token"] = mallory.client.get("/security").token
    assert mallory.client.post("/security/passkeys/enable", {**form, "passkey": "{}"}).status == 403
    assert last(server, "EnableMFADevice")["errorCode"] == "InvalidAuthenticationCode"
    assert mallory.client.post("/security/passkeys/enable", form).status == 403
    assert "challenge was answered before" in last(server, "EnableMFADevice")["errorMessage"]


def test_the_gate_is_asked_before_and_after_the_authenticator(
    server: PortalServer, home: Account, someone: Any
) -> None:
    alice = someone("alice-governed")
    iam = server.client("iam", home.root)
    begun, fields = asked_for(begin(alice.client))

    def denies(step: str) -> None:
        statement = {
            "Effect": "Deny",
            "Action": "iam:EnableMFADevice",
            "Resource": "*",
            "Condition": {"StringEquals": {"iam:RegisterSecurityKey": step}},
        }
        document = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
        iam.put_user_policy(UserName=alice.name, PolicyName="no-keys", PolicyDocument=document)

    denies("Create")
    assert begin(alice.client).status == 403
    assert last(server, "EnableMFADevice")["errorCode"] == "AccessDenied"
    denies("Activate")
    before = len(records(server))
    assert begin(alice.client).status == 200
    names = {one["eventName"] for one in records(server)[before:]}
    assert "EnableMFADevice" not in names, "nothing was enabled yet"
    other = Authenticator(alice.client.origin, "localhost")
    form = {**fields, "passkey_name": "key", "passkey": other.create(begun)}
    assert alice.client.post("/security/passkeys/enable", form).status == 403
    assert last(server, "EnableMFADevice")["errorCode"] == "AccessDenied"
    assert len(iam.list_mfa_devices(UserName=alice.name)["MFADevices"]) == 1


def test_passkeys_and_other_devices_are_eight_together(
    server: PortalServer, home: Account, someone: Any
) -> None:
    alice = someone("alice-of-many")
    Phone(server.client("iam", home.root), alice.name)
    for number in range(6):
        other = Authenticator(alice.client.origin, "localhost")
        assert enable(alice.client, other, f"key-{number}").status == 303
    refused = begin(alice.client)
    assert refused.status == 409
    assert "MFADevicesPerUser: 8" in refused.body
    summary = server.client("iam", home.root).get_account_summary()["SummaryMap"]
    assert summary["MFADevicesInUse"] >= 8


@pytest.mark.parametrize("name", ["", "a b", "a/b", "ä", "x" * 65, '"><script>'])
def test_a_name_that_no_serial_number_could_have_is_refused(
    server: PortalServer, home: Account, someone: Any, name: str
) -> None:
    new_user(server, home, f"n{len(name)}-{sum(map(ord, name))}", allow("iam:*"))
    server.set_password(home, f"n{len(name)}-{sum(map(ord, name))}")
    client = Named(server)
    client.sign_in(home.account_id, f"n{len(name)}-{sum(map(ord, name))}", PASSWORD)
    answer = begin(client, name)
    assert answer.status == 400
    assert "<script>" not in answer.body


def test_an_address_is_no_place_for_passkeys_and_the_page_says_what_to_do(
    server: PortalServer, home: Account, someone: Any
) -> None:
    alice = someone("alice-by-address")
    client = Client(server)
    assert client.sign_in(home.account_id, alice.name).header("Location") == "/sign-in/code"
    page = client.get("/sign-in/code").body
    assert "data-options" not in page
    assert f'href="{alice.client.origin}"' in page
    assert "127.0.0.1" in page
    new_user(server, home, "by-address", allow("iam:*"))
    server.set_password(home, "by-address")
    client = Client(server)
    client.sign_in(home.account_id, "by-address")
    page = client.get("/security").body
    assert "Add a passkey" not in page
    assert f'href="{alice.client.origin}"' in page
    form = {"csrf_token": client.get("/security").token, "passkey_name": "key"}
    assert client.post("/security/passkeys", form).status == 400


def test_the_policy_of_the_guide_lets_people_look_after_their_own_passkeys(
    server: PortalServer, home: Account
) -> None:
    (policy,) = re.findall(r"```json\n(.*?)```", GUIDE.read_text("utf-8"), re.DOTALL)
    iam = server.client("iam", home.root)
    for name in ("guided", "neighbour"):
        iam.create_user(UserName=name)
        server.set_password(home, name)
        iam.put_user_policy(UserName=name, PolicyName="own", PolicyDocument=policy)
    client = Named(server)
    client.sign_in(home.account_id, "guided")
    authenticator = Authenticator(client.origin, "localhost")
    assert enable(client, authenticator).status == 303
    (device,) = iam.list_mfa_devices(UserName="guided")["MFADevices"]
    removal = {"do": "DeactivateMFADevice", "SerialNumber": device["SerialNumber"]}
    assert client.post("/security", {**removal, "csrf_token": client.get("/security").token}).status == 403
    again = Named(server)
    again.sign_in(home.account_id, "guided")
    assert show(again, authenticator).status == 303
    assert again.post("/security", {**removal, "csrf_token": again.get("/security").token}).status == 303
    app = {"do": "CreateVirtualMFADevice", "VirtualMFADeviceName": "guided"}
    assert again.post("/security", {**app, "csrf_token": again.get("/security").token}).status == 403


def test_programs_give_codes_and_no_passkeys(server: PortalServer, home: Account, someone: Any) -> None:
    alice = someone("alice-of-programs")
    iam = server.client("iam", home.root)
    (device,) = iam.list_mfa_devices(UserName=alice.name)["MFADevices"]
    serial = device["SerialNumber"]
    keys = Keys.of(iam.create_access_key(UserName=alice.name)["AccessKey"])
    sts = server.client("sts", keys)
    with pytest.raises(sts.exceptions.ClientError, match="unable to validate MFA code"):
        sts.get_session_token(SerialNumber=serial, TokenCode="123456")
    for refused in (
        lambda: iam.enable_mfa_device(
            UserName=alice.name,
            SerialNumber=serial,
            AuthenticationCode1="123456",
            AuthenticationCode2="234567",
        ),
        lambda: iam.resync_mfa_device(
            UserName=alice.name,
            SerialNumber=serial,
            AuthenticationCode1="123456",
            AuthenticationCode2="234567",
        ),
        lambda: iam.delete_virtual_mfa_device(SerialNumber=serial),
        lambda: iam.get_mfa_device(SerialNumber=serial + "X", UserName=alice.name),
    ):
        with pytest.raises(iam.exceptions.NoSuchEntityException):
            refused()
    assert iam.list_virtual_mfa_devices(AssignmentStatus="Assigned")["VirtualMFADevices"] is not None
