"""AssumeRoleWithLDAPIdentity: a real server, a real directory, and MinIO's own client."""

import json
import socket
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from datetime import datetime
from pathlib import Path
from threading import Thread
from typing import Any
from xml.etree import ElementTree

import minio.credentials
import pytest

from tests.e2e.conftest import Account, Keys, Server
from tests.e2e.scenes import allow, document, new_role, records_of, refused
from tests.identity_providers.certificates import KeyPair
from tests.identity_providers.slapd import ADMIN, ADMIN_PASSWORD, GROUPS, PEOPLE, Slapd, group, person
from tests.ports import free_port

PROVIDER = "ldap.example.com"
ACTION = "sts:AssumeRoleWithLDAPIdentity"
DENIED = (403, "AccessDenied", f"Not authorized to perform {ACTION}")
AWAY = (503, "ServiceUnavailable", "The request has failed due to a temporary failure of the server.")
PASSWORD = "correct horse & b%ttery+staple / é"
READER = "123456789012"
NAMESPACE = "{https://sts.amazonaws.com/doc/2011-06-15/}"

# How people are found, as settings; each test of the search or of the pattern begins with these.
SEARCH = {
    "BROKER_LDAP_SEARCH_BASE": PEOPLE,
    "BROKER_LDAP_BIND_DN": ADMIN,
    "BROKER_LDAP_BIND_PASSWORD": ADMIN_PASSWORD,
}
PATTERN = {"BROKER_LDAP_USER_DN": f"uid=%s,{PEOPLE}"}


def role_arn(name: str) -> str:
    return f"arn:aws:iam::{READER}:role/{name}"


def trust(**condition: Any) -> dict[str, Any]:
    return {
        "Effect": "Allow",
        "Principal": {"Federated": PROVIDER},
        "Action": ACTION,
        **({"Condition": condition} if condition else {}),
    }


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Slapd]:
    """carol is in `readers`, which is in `staff`; dave is in no group, erin in `writers`."""
    with Slapd(tmp_path_factory.mktemp("people")).running() as slapd:
        slapd.add_person("carol", PASSWORD)
        slapd.add_person("dave", "his password")
        slapd.add_person("erin", "hers", description="(admins)")
        slapd.add_person("x", "one letter only")
        slapd.add_group("readers", [person("carol")])
        slapd.add_group("staff", [group("readers")])
        slapd.add_group("writers", [person("erin"), person("carol")])
        yield slapd


Start = Callable[..., Server]


@pytest.fixture(scope="module")
def start(directory: Slapd, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Start]:
    """Starts servers that know the directory by these settings, each once, with roles of one account."""
    running: dict[Any, tuple[Server, Any]] = {}

    def started(**settings: str) -> Server:
        key = tuple(sorted(settings.items()))
        if key not in running:
            folder = tmp_path_factory.mktemp("broker")
            environment = {
                "BROKER_LDAP_SERVERS": directory.tls_url,
                "BROKER_LDAP_PROVIDER": PROVIDER,
                "BROKER_LDAP_CERTIFICATE_AUTHORITIES": str(directory.authority_file),
                **settings,
            }
            server = Server(folder, f"sqlite:{folder / 'broker.db'}", environment=environment)
            running[key] = server, server.running()
            running[key][1].__enter__()
            make_roles(server, server.new_account(READER))
        return running[key][0]

    yield started
    for _, life in running.values():
        life.__exit__(None, None, None)


def make_roles(server: Server, account: Account) -> None:
    new_role(server, account, "reader", trust(), allow("iam:ListUsers"))
    new_role(server, account, "writer", trust(), allow("iam:*"))
    new_role(server, account, "stranger", {**trust(), "Principal": {"Federated": "other.example.com"}})
    only_carol = {"StringEquals": {"ldap:username": "carol", "ldap:user": person("carol")}}
    new_role(server, account, "carols", trust(**only_carol))
    staff = {"ForAnyValue:StringEquals": {"ldap:groups": group("staff")}}
    new_role(server, account, "staff", trust(**staff), allow("iam:ListUsers"))


def asked(server: Server, user_name: str, password: str, **more: str) -> tuple[int, ElementTree.Element]:
    """Status and answer of the call as a form."""
    form = {
        "Action": "AssumeRoleWithLDAPIdentity",
        "Version": "2011-06-15",
        "LDAPUsername": user_name,
        "LDAPPassword": password,
        **more,
    }
    request = urllib.request.Request(server.url, urllib.parse.urlencode(form).encode(), method="POST")
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:
            return answer.status, ElementTree.fromstring(answer.read())
    except urllib.error.HTTPError as error:
        with error:
            return error.code, ElementTree.fromstring(error.read())


def texts(answer: ElementTree.Element) -> dict[str, str]:
    return {one.tag.removeprefix(NAMESPACE): one.text or "" for one in answer.iter()}


def assumed(server: Server, user_name: str, password: str, **more: str) -> tuple[str, Keys]:
    """The session's ARN and keys."""
    status, answer = asked(server, user_name, password, **more)
    said = texts(answer)
    assert status == 200, said
    assert answer.tag == f"{NAMESPACE}AssumeRoleWithLDAPIdentityResponse"
    return said["Arn"], Keys(said["AccessKeyId"], said["SecretAccessKey"], said["SessionToken"])


def denied(server: Server, user_name: str, password: str, **more: str) -> tuple[tuple[int, str, str], str]:
    """The refusal, and the reason that the journal has."""
    status, answer = asked(server, user_name, password, **more)
    said = texts(answer)
    (record,) = records_of(server, said["RequestId"])
    assert record["eventName"] == "AssumeRoleWithLDAPIdentity"
    return (status, said["Code"], said["Message"]), record["errorMessage"]


@pytest.mark.parametrize("way", [SEARCH, PATTERN], ids=["search", "pattern"])
@pytest.mark.parametrize("tls", ["ldaps", "StartTLS"])
def test_a_person_gets_a_session_of_the_role_that_is_asked_for(
    start: Start, directory: Slapd, way: dict[str, str], tls: str
) -> None:
    server = start(**way, BROKER_LDAP_SERVERS=directory.tls_url if tls == "ldaps" else directory.url)
    arn, keys = assumed(server, "carol", PASSWORD, RoleArn=role_arn("reader"))
    assert arn == f"arn:aws:sts::{READER}:assumed-role/reader/carol"
    assert server.client("sts", keys).get_caller_identity()["Arn"] == arn
    assert server.client("iam", keys).list_users()["Users"] == []


@pytest.mark.parametrize("way", [SEARCH, PATTERN], ids=["search", "pattern"])
@pytest.mark.parametrize(
    ("user_name", "password", "check"),
    [
        ("carol", "wrong", "password: found invalidCredentials"),
        ("carol", f"{PASSWORD} ", "password: found invalidCredentials"),
        ("nobody", PASSWORD, "user name: found no entries|password: found invalidCredentials"),
        ("carol", "\u00ad", "password: found invalidCredentials"),  # which SASLprep makes empty
    ],
)
def test_who_does_not_know_the_password_reads_one_sentence_and_the_journal_the_check(
    start: Start, way: dict[str, str], user_name: str, password: str, check: str
) -> None:
    refusal, reason = denied(start(**way), user_name, password, RoleArn=role_arn("reader"))
    assert refusal == DENIED
    assert any(f"check failed: {one}" in reason for one in check.split("|")), reason


@pytest.mark.parametrize("way", [SEARCH, PATTERN], ids=["search", "pattern"])
def test_an_empty_password_is_refused_before_any_bind(
    start: Start, directory: Slapd, way: dict[str, str]
) -> None:
    server = start(**way)
    before = binds(directory)
    refusal, reason = denied(server, "carol", "", RoleArn=role_arn("reader"))
    assert refusal[:2] == (400, "ValidationError")
    assert "lDAPPassword" in reason
    assert binds(directory) == before


@pytest.mark.parametrize(
    "user_name",
    [
        "*",
        "car*",
        "carol)(uid=*",
        "*)(uid=*))(|(uid=*",
        "carol\\",
        "\\2a",
        "carol,ou=people",
        "x)(description=*",
    ],
)
@pytest.mark.parametrize("way", [SEARCH, PATTERN], ids=["search", "pattern"])
def test_a_user_name_is_a_name_and_nothing_else(start: Start, way: dict[str, str], user_name: str) -> None:
    refusal, reason = denied(start(**way), user_name, PASSWORD, RoleArn=role_arn("reader"))
    assert refusal == DENIED
    assert "user name: found no entries" in reason or "password: found invalidCredentials" in reason


def test_a_user_name_that_fits_two_people_is_nobodys(start: Start) -> None:
    server = start(**SEARCH, BROKER_LDAP_SEARCH_FILTER="(|(uid=%s)(objectClass=inetOrgPerson))")
    refusal, reason = denied(server, "carol", PASSWORD, RoleArn=role_arn("reader"))
    assert refusal == DENIED
    assert "sizeLimitExceeded" in reason or "user name: found 2 entries" in reason


@pytest.mark.parametrize("way", [SEARCH, PATTERN], ids=["search", "pattern"])
def test_the_directory_says_how_a_person_is_called(start: Start, way: dict[str, str]) -> None:
    """It ignores case, and conditions do not: what is typed must not get around them."""
    arn, _ = assumed(start(**way), " CaRoL ", PASSWORD, RoleArn=role_arn("carols"))
    assert arn == f"arn:aws:sts::{READER}:assumed-role/carols/carol"


def test_a_person_whose_name_is_no_session_name_is_refused(start: Start) -> None:
    refusal, reason = denied(start(**SEARCH), "x", "one letter only", RoleArn=role_arn("reader"))
    assert refusal == DENIED
    assert "check failed: session name: found x" in reason


def test_a_person_who_may_not_read_who_she_is_is_refused(start: Start, directory: Slapd) -> None:
    server = start(**SEARCH, BROKER_LDAP_NAME_ATTRIBUTE="employeeNumber")
    refusal, reason = denied(server, "carol", PASSWORD, RoleArn=role_arn("reader"))
    assert refusal == DENIED
    assert "check failed: name attribute" in reason


@pytest.mark.parametrize("role", ["stranger", "ghost"])
def test_a_role_that_does_not_trust_the_directory_is_refused_like_a_wrong_password(
    start: Start, role: str
) -> None:
    refusal, reason = denied(start(**SEARCH), "carol", PASSWORD, RoleArn=role_arn(role))
    assert refusal == DENIED
    assert role_arn(role) in reason


def test_a_condition_of_the_trust_policy_reads_who_the_person_is(start: Start) -> None:
    refusal, _ = denied(start(**SEARCH), "dave", "his password", RoleArn=role_arn("carols"))
    assert refusal == DENIED


def test_without_a_mapping_a_request_has_to_name_a_role(start: Start) -> None:
    refusal, reason = denied(start(**SEARCH), "carol", PASSWORD)
    assert refusal == DENIED
    assert "check failed: role given" in reason


def test_what_is_no_role_is_refused_before_the_password_is_tried(start: Start, directory: Slapd) -> None:
    server, before = start(**SEARCH), binds(directory)
    refusal, _ = denied(server, "carol", PASSWORD, RoleArn="arn:aws:iam::123456789012:user/carol")
    assert refusal[:2] == (400, "ValidationError")
    assert binds(directory) == before


MAPPING = json.dumps(
    [
        f"CN=Writers,{GROUPS.upper()} = {role_arn('writer')}",
        f"{group('readers')}={role_arn('reader')}",
        f"{person('dave')} = {role_arn('reader')}",
    ]
)
# The ways in which groups are found.
BY_ATTRIBUTE: dict[str, str] = {}
BY_SEARCH = {"BROKER_LDAP_GROUP_ATTRIBUTE": "", "BROKER_LDAP_GROUP_SEARCH_BASE": GROUPS}


@pytest.mark.parametrize("way", [SEARCH, PATTERN], ids=["search", "pattern"])
@pytest.mark.parametrize("groups", [BY_ATTRIBUTE, BY_SEARCH], ids=["attribute", "group search"])
def test_groups_give_roles_and_a_request_chooses_among_them(
    start: Start, way: dict[str, str], groups: dict[str, str]
) -> None:
    server = start(**way, **groups, BROKER_LDAP_ROLES=MAPPING)
    session = f"arn:aws:sts::{READER}:assumed-role"
    assert assumed(server, "carol", PASSWORD)[0] == f"{session}/writer/carol"
    assert assumed(server, "carol", PASSWORD, RoleArn=role_arn("reader"))[0] == f"{session}/reader/carol"
    assert assumed(server, "erin", "hers")[0] == f"{session}/writer/erin"
    assert assumed(server, "dave", "his password")[0] == f"{session}/reader/dave"
    refusal, reason = denied(server, "erin", "hers", RoleArn=role_arn("reader"))
    assert refusal == DENIED
    assert f"check failed: role given: found {person('erin')} in {group('writers')}" in reason


@pytest.mark.parametrize("way", [SEARCH, PATTERN], ids=["search", "pattern"])
@pytest.mark.parametrize("groups", [BY_ATTRIBUTE, BY_SEARCH], ids=["attribute", "group search"])
@pytest.mark.parametrize("nested", ["true", "false"])
def test_groups_of_groups_count_where_a_setting_says_so(
    start: Start, way: dict[str, str], groups: dict[str, str], nested: str
) -> None:
    server = start(**way, **groups, BROKER_LDAP_NESTED_GROUPS=nested)
    if nested == "true":
        assert assumed(server, "carol", PASSWORD, RoleArn=role_arn("staff"))[0].endswith("/staff/carol")
    else:
        assert denied(server, "carol", PASSWORD, RoleArn=role_arn("staff"))[0] == DENIED
    assert denied(server, "erin", "hers", RoleArn=role_arn("staff"))[0] == DENIED


def test_groups_that_contain_one_another_come_to_an_end(start: Start, directory: Slapd) -> None:
    directory.add_person("frank", "round and round")
    directory.add_group("hens", [person("frank"), group("eggs")])
    directory.add_group("eggs", [group("hens")])
    server = start(**SEARCH, **BY_SEARCH, BROKER_LDAP_NESTED_GROUPS="true")
    assert assumed(server, "frank", "round and round", RoleArn=role_arn("reader"))[0].endswith("/frank")


def test_the_session_knows_who_the_person_is(start: Start) -> None:
    server = start(**SEARCH)
    variables = document(
        {
            **allow("iam:ListUsers"),
            "Condition": {
                "StringEquals": {"ldap:username": "carol", "ldap:user": person("carol")},
                "ForAnyValue:StringEquals": {"ldap:groups": group("readers")},
            },
        }
    )
    _, keys = assumed(server, "carol", PASSWORD, RoleArn=role_arn("reader"), Policy=variables)
    assert server.client("iam", keys).list_users()["Users"] == []
    _, keys = assumed(server, "dave", "his password", RoleArn=role_arn("reader"), Policy=variables)
    assert refused(server.client("iam", keys).list_users)[1] == "AccessDenied"


def test_the_session_lives_as_long_as_the_request_and_the_role_say(start: Start) -> None:
    server = start(**SEARCH)
    _, answer = asked(server, "carol", PASSWORD, RoleArn=role_arn("reader"), DurationSeconds="900")
    ends = datetime.fromisoformat(texts(answer)["Expiration"]).timestamp()
    assert 890 < ends - time.time() <= 900
    status, answer = asked(server, "carol", PASSWORD, RoleArn=role_arn("reader"), DurationSeconds="7200")
    assert (status, texts(answer)["Code"]) == (400, "ValidationError")


def test_minios_client_gets_credentials(start: Start) -> None:
    server = start(**SEARCH, BROKER_LDAP_ROLES=MAPPING)
    provider = minio.credentials.LdapIdentityProvider(server.url, "carol", PASSWORD, duration_seconds=3600)
    made = provider.retrieve()
    keys = Keys(made.access_key, made.secret_key, made.session_token)
    assert server.client("sts", keys).get_caller_identity()["Arn"].endswith(":assumed-role/writer/carol")
    assert PASSWORD not in server.log
    with pytest.raises(ValueError, match="status code 403"):
        minio.credentials.LdapIdentityProvider(server.url, "carol", "wrong").retrieve()


def test_no_password_is_in_a_log(start: Start, directory: Slapd) -> None:
    server = start(**SEARCH)
    assumed(server, "carol", PASSWORD, RoleArn=role_arn("reader"))
    denied(server, "carol", "a slip of the fingers", RoleArn=role_arn("reader"))
    written = server.log + Path(server.folder, "audit.jsonl").read_text()
    assert "HIDDEN_DUE_TO_SECURITY_REASONS" in written
    for secret in (PASSWORD, "correct horse", "a slip of the fingers", ADMIN_PASSWORD):
        assert secret not in written
        assert urllib.parse.quote(secret) not in written
        assert urllib.parse.quote_plus(secret) not in written


def test_without_a_directory_the_operation_does_not_exist(server: Server) -> None:
    status, answer = asked(server, "carol", PASSWORD, RoleArn=role_arn("reader"))
    assert (status, texts(answer)["Code"]) == (400, "InvalidAction")


def test_a_directory_that_proves_nothing_gets_no_password(
    start: Start, directory: Slapd, tmp_path_factory: pytest.TempPathFactory
) -> None:
    _, stranger = KeyPair("a stranger").write(tmp_path_factory.mktemp("stranger"), "stranger")
    for url in (directory.tls_url, directory.url, directory.tls_url.replace("127.0.0.1", "localhost")):
        authority = directory.authority_file if "localhost" in url else stranger
        server = start(**PATTERN, BROKER_LDAP_SERVERS=url, BROKER_LDAP_CERTIFICATE_AUTHORITIES=str(authority))
        before = binds(directory)
        refusal, reason = denied(server, "carol", PASSWORD, RoleArn=role_arn("reader"))
        assert refusal == AWAY
        assert "certificate" in reason.lower()
        assert binds(directory) == before


def test_a_password_goes_in_the_clear_only_where_a_setting_says_so(
    start: Start, tmp_path_factory: pytest.TempPathFactory
) -> None:
    with Slapd(tmp_path_factory.mktemp("no-tls"), has_tls=False).running() as plain:
        plain.add_person("carol", PASSWORD)
        server = start(**PATTERN, BROKER_LDAP_SERVERS=plain.url)
        refusal, reason = denied(server, "carol", PASSWORD, RoleArn=role_arn("reader"))
        assert refusal == AWAY
        assert "startTLS failed" in reason
        assert binds(plain, person("carol")) == 0
        server = start(**PATTERN, BROKER_LDAP_SERVERS=plain.url, BROKER_LDAP_PLAIN_TEXT="true")
        assert assumed(server, "carol", PASSWORD, RoleArn=role_arn("reader"))[0].endswith("/carol")


def test_the_next_server_is_asked_where_the_first_is_away(start: Start, directory: Slapd) -> None:
    servers = f"ldaps://127.0.0.1:{free_port()},{directory.tls_url}"
    assert assumed(
        start(**SEARCH, BROKER_LDAP_SERVERS=servers), "carol", PASSWORD, RoleArn=role_arn("reader")
    )


def test_a_directory_that_is_away_is_no_wrong_password(start: Start) -> None:
    server = start(**SEARCH, BROKER_LDAP_SERVERS=f"ldaps://127.0.0.1:{free_port()}")
    refusal, reason = denied(server, "carol", PASSWORD, RoleArn=role_arn("reader"))
    assert refusal == AWAY
    assert "refused" in reason


def test_a_directory_that_does_not_answer_holds_up_nothing_else(start: Start) -> None:
    """It takes connections, and never says a word: more logins than there are threads for, and others are served."""
    with socket.create_server(("127.0.0.1", 0), backlog=64) as silent:
        url = f"ldap://127.0.0.1:{silent.getsockname()[1]}"
        settings = {"BROKER_LDAP_TIMEOUT_SECONDS": "2", "BROKER_LDAP_LOGINS_AT_A_TIME": "2"}
        server = start(**PATTERN, **settings, BROKER_LDAP_SERVERS=url)
        with ThreadPoolExecutor(24) as threads:
            began = time.monotonic()
            logins = [threads.submit(asked, server, "carol", PASSWORD) for _ in range(24)]
            time.sleep(0.5)
            while time.monotonic() < began + 1.5:
                asking = time.monotonic()
                assert asked(server, "", "")[0] == 400
                assert time.monotonic() - asking < 1
            codes = [texts(login.result()[1])["Code"] for login in logins]
        assert time.monotonic() - began < 6
    assert codes.count("ServiceUnavailable") == 18  # two run, sixteen wait
    assert codes.count("Throttling") == 6


@pytest.mark.parametrize(
    "drip", [b"\x30", b"\x30\x84\x7f\xff\xff\xff" + b"\x00" * 65536], ids=["slow", "endless"]
)
def test_a_directory_that_never_comes_to_an_end_is_left(start: Start, drip: bytes) -> None:
    with dripping(drip) as port:
        settings = {"BROKER_LDAP_TIMEOUT_SECONDS": "2", "BROKER_LDAP_SERVERS": f"ldap://127.0.0.1:{port}"}
        server, began = start(**PATTERN, **settings, BROKER_LDAP_PLAIN_TEXT="true"), time.monotonic()
        refusal, reason = denied(server, "carol", PASSWORD, RoleArn=role_arn("reader"))
        assert refusal == AWAY
        assert "in time" in reason or "timed out" in reason or "more than" in reason
        assert time.monotonic() - began < 10


@contextmanager
def dripping(drip: bytes) -> Iterator[int]:
    """A server that sends `drip` again and again, a tenth of a second apart where it is short; its port."""

    def answer(connection: socket.socket) -> None:
        with connection, suppress(OSError):
            while True:
                connection.sendall(drip)
                time.sleep(0 if len(drip) > 1 else 0.1)

    def serve() -> None:
        with suppress(OSError):
            while True:
                Thread(target=answer, args=(listener.accept()[0],), daemon=True).start()

    with socket.create_server(("127.0.0.1", 0)) as listener:
        Thread(target=serve, daemon=True).start()
        yield listener.getsockname()[1]
        listener.shutdown(socket.SHUT_RDWR)


def test_no_referral_is_followed(start: Start, directory: Slapd) -> None:
    """The directory says that another server knows ivan: that one hears neither of him nor of the service account."""
    with socket.create_server(("127.0.0.1", 0)) as other:
        other.settimeout(0.5)
        elsewhere = f"ldap://127.0.0.1:{other.getsockname()[1]}/{person('ivan')}"
        with directory.connected() as connection:
            facts = {"objectClass": ["referral", "extensibleObject"], "uid": "ivan", "ref": elsewhere}
            connection.add(person("ivan"), attributes=facts)
        for way, check in (
            (SEARCH, "user name: found no entries"),
            (PATTERN, "password: found "),
            ({**SEARCH, "BROKER_LDAP_SEARCH_BASE": person("ivan")}, "search: found referral"),
        ):
            refusal, reason = denied(start(**way), "ivan", PASSWORD, RoleArn=role_arn("reader"))
            assert refusal == DENIED
            assert check in reason
        with pytest.raises(TimeoutError):
            other.accept()


def test_who_guesses_has_to_wait_longer_and_longer(start: Start, directory: Slapd) -> None:
    """Also with the right password: an answer would say that it is right."""
    directory.add_person("grace", "not to be guessed")
    server = start(**SEARCH, BROKER_LDAP_TIMEOUT_SECONDS="11")  # a server of this test alone
    role = role_arn("reader")
    with ThreadPoolExecutor(20) as threads:
        answers = list(threads.map(lambda _: asked(server, " GRACE", "guess", RoleArn=role), range(20)))
    codes = [texts(answer)["Code"] for _, answer in answers]
    tried = codes.count("AccessDenied")
    assert (10 <= tried <= 13, tried + codes.count("Throttling")) == (True, 20)
    status, answer = asked(server, "grace", "not to be guessed", RoleArn=role)
    assert (status, texts(answer)["Code"]) == (400, "Throttling")
    assert binds(directory, person("grace")) == tried
    assert assumed(server, "carol", PASSWORD, RoleArn=role)
    deadline = time.monotonic() + 20
    while asked(server, "grace", "not to be guessed", RoleArn=role)[0] == 400:
        assert time.monotonic() < deadline
        time.sleep(0.2)
    assert denied(server, "grace", "guess", RoleArn=role)[0] == DENIED, "the slate is clean"


def test_who_guesses_from_one_address_has_to_wait_whoever_is_guessed(start: Start) -> None:
    server = start(**SEARCH, BROKER_LDAP_TIMEOUT_SECONDS="12")  # a server of this test alone
    with ThreadPoolExecutor(20) as threads:
        answers = list(
            threads.map(
                lambda number: asked(server, f"user{number}", "guess", RoleArn=role_arn("reader")), range(40)
            )
        )
    codes = [texts(answer)["Code"] for _, answer in answers]
    assert codes.count("AccessDenied") >= 30
    assert "Throttling" in codes


def binds(directory: Slapd, name: str = "") -> int:
    """How many binds there were, of all or of one."""
    lines = (directory.folder / "log").read_text().splitlines()
    return sum(f'BIND dn="{name}' in line and "method=128" in line for line in lines)
