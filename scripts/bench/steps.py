"""How long each operation holds the event loop in a full account: CPU milliseconds of its longest step.

A step is what the loop runs without giving way: a callback, or a task from one wait to the next. A turn is all steps
that the loop runs between two looks at its sockets. Both are measured inside the broker's process by the CPU time of
the loop's thread, so that what else the machine does counts little. Beside the longest step stands where it was most of
the time, by samples of every few milliseconds of CPU, and the longest collection of garbage, which is part of a step.
Work in threads is in no step. The loop is asyncio's own, for uvloop's cannot be measured.

The account has 5,000 users, 1,000 roles and 1,500 policies, as in growth.py. Each operation is sent twice, the first
time by a process that has read nothing of it yet; a refusal is shown.

    .venv-test/bin/python scripts/bench/steps.py
    .venv-test/bin/python scripts/bench/steps.py --only Details ListUsers
"""

import argparse
import asyncio
import gc
import json
import os
import runpy
import signal
import sys
import tempfile
import time
import urllib.request
from asyncio import base_events, events
from collections import Counter
from collections.abc import Callable
from contextlib import AsyncExitStack
from pathlib import Path
from types import FrameType
from typing import Any, NamedTuple

import boto3
import growth
import uvloop
from botocore.config import Config
from botocore.exceptions import ClientError
from msgspec.structs import replace
from pages import API, OPERATIONS, PORTAL, session_cookie, settings_of
from populate import USER, access_key, account_id, policy_text
from serving import Server

from broker.app import open_broker, open_journal
from broker.app.serving import make_dependencies
from broker.config import load_settings
from broker.performing import Tools
from broker.storage.records import Group
from broker.storage.store import GROUPS, USERS, Transaction
from broker.web.metrics import Metrics
from tests.e2e.conftest import Keys
from tests.e2e.scim import ScimClient, identity_store_client

SERVED = "BENCH_STEPS_FILE"  # set in the broker's process: where it writes its steps
QUOTAS = ("USERS", "CUSTOMER_POLICIES", "ROLES", "ORGANIZATION_ACCOUNTS")
LEAST = 0.002  # seconds; shorter steps are not written
SAMPLED = 0.002
ACCOUNT = account_id(len(growth.SIZES) - 1)


class Steps:
    """Writes a line for each step of the loop that took more than `LEAST`: milliseconds, place, of garbage."""

    def __init__(self, file: Path) -> None:
        self._file = file.open("a", buffering=1)
        self._samples: Counter[str] = Counter()
        self._collecting, self._collected = 0.0, 0.0

    def install(self) -> None:
        run = events.Handle._run  # type: ignore[attr-defined]

        def measured(handle: Any) -> None:
            self._samples.clear()
            self._collected = 0.0
            begun = time.thread_time()
            run(handle)
            used = time.thread_time() - begun
            if used > LEAST:
                self._write(used)

        turn = base_events.BaseEventLoop._run_once  # type: ignore[attr-defined]

        def measured_turn(loop: Any) -> None:
            begun = time.thread_time()
            turn(loop)
            used = time.thread_time() - begun
            if used > LEAST:
                self._file.write(f"turn\t{used * 1000:.1f}\n")

        events.Handle._run = measured  # type: ignore[attr-defined]
        base_events.BaseEventLoop._run_once = measured_turn  # type: ignore[attr-defined]
        gc.callbacks.append(self._collection)
        signal.signal(signal.SIGPROF, self._sample)
        signal.setitimer(signal.ITIMER_PROF, SAMPLED, SAMPLED)
        os.register_at_fork(after_in_child=lambda: signal.setitimer(signal.ITIMER_PROF, SAMPLED, SAMPLED))

    def _write(self, used: float) -> None:
        place = self._samples.most_common(1)[0][0] if self._samples else "?"
        self._file.write(f"step\t{used * 1000:.1f}\t{self._collected * 1000:.1f}\t{place}\n")

    def _collection(self, phase: str, _: dict[str, int]) -> None:
        if phase == "start":
            self._collecting = time.thread_time()
        else:
            self._collected += time.thread_time() - self._collecting

    def _sample(self, _: int, frame: FrameType | None) -> None:
        while frame is not None and "/broker/" not in frame.f_code.co_filename:
            frame = frame.f_back
        places: list[str] = []
        while frame is not None and len(places) < 4:
            if "/broker/" in frame.f_code.co_filename:
                file = frame.f_code.co_filename.rpartition("/broker/")[2]
                places.append(f"{file}:{frame.f_code.co_name}")
            frame = frame.f_back
        self._samples[" < ".join(places)] += 1


class Operation(NamedTuple):
    name: str
    run: Callable[["Clients"], object]


class Clients:
    """boto3 of the full account's key."""

    def __init__(self, server: Server, portal: str, cookie: str) -> None:
        self._portal, self._cookie = portal, cookie
        self._made: dict[str, Any] = {}
        self.url = f"http://{server.address}"
        self.scim: ScimClient | None = None
        self.identity_store = ""
        key = access_key(ACCOUNT)
        self._session = boto3.session.Session(key[0], key[1], region_name="eu-central-1")

    def __getattr__(self, service: str) -> Any:
        if service not in self._made:
            config = Config(retries={"max_attempts": 0}, read_timeout=300, parameter_validation=False)
            self._made[service] = self._session.client(
                service.replace("_", "-"), endpoint_url=self.url, config=config
            )
        return self._made[service]

    def identity_stores(self) -> Any:
        """With the operations that AWS has not."""
        return identity_store_client(self, Keys(*access_key(ACCOUNT)))  # type: ignore[arg-type]

    def page(self, path: str) -> None:
        request = urllib.request.Request(f"http://{self._portal}{path}", headers={"Cookie": self._cookie})
        with urllib.request.urlopen(request, timeout=300) as answer:
            assert "/overview" not in path or "/overview" in answer.url, answer.url
            answer.read()


def paged(service: str, operation: str, **parameters: object) -> Callable[[Clients], object]:
    def run(clients: Clients) -> None:
        for _ in getattr(clients, service).get_paginator(operation).paginate(**parameters):
            pass

    return run


def _last_accessed(clients: Clients, arn: str) -> None:
    job = clients.iam.generate_service_last_accessed_details(Arn=arn)["JobId"]
    clients.iam.get_service_last_accessed_details(JobId=job)


def _analyze(clients: Clients, kind: str) -> None:
    name = f"bench-{kind.lower().replace('_', '-')}"
    found = clients.accessanalyzer.list_analyzers()["analyzers"]
    arns = {one["name"]: one["arn"] for one in found}
    if name not in arns:
        arns[name] = clients.accessanalyzer.create_analyzer(analyzerName=name, type=kind)["arn"]
    for _ in clients.accessanalyzer.get_paginator("list_findings_v2").paginate(analyzerArn=arns[name]):
        pass


def _large_policy(size: int = 44) -> str:
    """Many patterns: six kilobytes, as large as AWS allows, or a third of it."""
    statements = [
        {
            "Effect": "Allow",
            "Action": [f"s3:Get*{number}*", "ec2:*Describe*", "dynamodb:*Item*"],
            "Resource": f"arn:aws:s3:::bucket-*-{number}*/*-x",
        }
        for number in range(size)
    ]
    return json.dumps({"Version": "2012-10-17", "Statement": statements}, separators=(",", ":"))


def _simulate(clients: Clients) -> None:
    clients.iam.simulate_custom_policy(
        PolicyInputList=[_large_policy()] * 8,
        ActionNames=[f"s3:GetObject{number}" for number in range(100)],
        ResourceArns=[f"arn:aws:s3:::bucket-{number}/key" for number in range(20)],
    )


def _organize(clients: Clients) -> None:
    """Once: a thousand accounts, and ten units."""
    try:
        clients.organizations.create_organization(FeatureSet="ALL")
    except clients.organizations.exceptions.AlreadyInOrganizationException:
        return
    root = clients.organizations.list_roots()["Roots"][0]["Id"]
    for number in range(10):
        clients.organizations.create_organizational_unit(ParentId=root, Name=f"unit-{number}")
    for number in range(1000):
        clients.organizations.create_account(Email=f"a{number}@example.org", AccountName=f"a{number}")


def _tree(clients: Clients) -> None:
    for _ in clients.organizations.get_paginator("list_accounts").paginate():
        pass
    root = clients.organizations.list_roots()["Roots"][0]["Id"]
    for kind in ("ACCOUNT", "ORGANIZATIONAL_UNIT"):
        for _ in clients.organizations.get_paginator("list_children").paginate(ParentId=root, ChildType=kind):
            pass


def _pushed(clients: Clients) -> ScimClient:
    """Of an identity store with 5,000 people, who are all in one group; made once."""
    if clients.scim is None:
        identities = clients.identity_stores()
        provider = clients.iam.create_open_id_connect_provider(
            Url="https://bench.example", ClientIDList=["bench"]
        )["OpenIDConnectProviderArn"]
        store = identities.create_identity_store(Provider=provider)["IdentityStoreId"]
        token = identities.create_bearer_token(IdentityStoreId=store)["BearerToken"]
        scim = ScimClient(clients.url, token)
        scim.new_group(
            "all", *[scim.new_user(f"person-{number}", emails=_emails(number)) for number in range(5000)]
        )
        clients.scim, clients.identity_store = scim, store
    return clients.scim


def _emails(number: int) -> list[dict[str, str]]:
    return [{"type": "work", "value": f"person-{number}@example.org"}]


def _scim(path: str, **query: str) -> Callable[[Clients], object]:
    def run(clients: Clients) -> None:
        answer = _pushed(clients).get(path, **query)
        assert answer.status == 200, answer.body

    return run


def _group_of_all(clients: Clients) -> str:
    found = _pushed(clients).get("/Groups", filter='displayName eq "all"', excludedAttributes="members")
    return str(found.body["Resources"][0]["id"])


def _read_group(clients: Clients) -> None:
    answer = _pushed(clients).get(f"/Groups/{_group_of_all(clients)}")
    assert answer.status == 200, answer.body


def _exchange_members(clients: Clients) -> None:
    """All leave the group but one, then all are members again."""
    scim, group = _pushed(clients), _group_of_all(clients)
    members = scim.get(f"/Groups/{group}").body["members"]
    for value in (members[:1], [{"value": one["value"]} for one in members]):
        answer = scim.patch(f"/Groups/{group}", {"op": "replace", "path": "members", "value": value})
        assert answer.status in (200, 204), answer.body


def _list_people(clients: Clients) -> None:
    _pushed(clients)
    for _ in clients.identitystore.get_paginator("list_users").paginate(
        IdentityStoreId=clients.identity_store
    ):
        pass


def _user(number: int) -> str:
    return f"arn:aws:iam::{ACCOUNT}:user/user-{number:05d}"


MEASURED = (
    Operation("GetAccountAuthorizationDetails, whole", paged("iam", "get_account_authorization_details")),
    Operation(
        "GetAccountAuthorizationDetails, MaxItems=1000",
        lambda c: c.iam.get_account_authorization_details(MaxItems=1000),
    ),
    Operation("ListUsers, pages of 1,000", paged("iam", "list_users", PaginationConfig={"PageSize": 1000})),
    Operation("ListRoles, pages of 1,000", paged("iam", "list_roles", PaginationConfig={"PageSize": 1000})),
    Operation(
        "ListPolicies, pages of 1,000", paged("iam", "list_policies", PaginationConfig={"PageSize": 1000})
    ),
    Operation("ListPolicies OnlyAttached", paged("iam", "list_policies", OnlyAttached=True)),
    Operation(
        "ListEntitiesForPolicy",
        paged("iam", "list_entities_for_policy", PolicyArn=f"arn:aws:iam::{ACCOUNT}:policy/policy-00001"),
    ),
    Operation(
        "GetGroup of 5,000", paged("iam", "get_group", GroupName="all", PaginationConfig={"PageSize": 1000})
    ),
    Operation("GenerateCredentialReport", lambda c: c.iam.generate_credential_report()),
    Operation("GetCredentialReport", lambda c: c.iam.get_credential_report()),
    Operation("GetAccountSummary", lambda c: c.iam.get_account_summary()),
    Operation("service last accessed of a user", lambda c: _last_accessed(c, _user(1))),
    Operation(
        "service last accessed of a policy",
        lambda c: _last_accessed(c, f"arn:aws:iam::{ACCOUNT}:policy/policy-00001"),
    ),
    Operation(
        "ListPoliciesGrantingServiceAccess",
        lambda c: c.iam.list_policies_granting_service_access(
            Arn=_user(1), ServiceNamespaces=["s3", "iam", "ec2"]
        ),
    ),
    Operation("SimulateCustomPolicy, 2,000 decisions", _simulate),
    Operation(
        "SimulatePrincipalPolicy",
        lambda c: c.iam.simulate_principal_policy(
            PolicySourceArn=_user(1),
            ActionNames=["s3:*"],
            ResourceArns=["arn:aws:s3:::data/x"],
            PolicyInputList=[_large_policy()] * 8,
        ),
    ),
    Operation(
        "GetContextKeysForCustomPolicy",
        lambda c: c.iam.get_context_keys_for_custom_policy(PolicyInputList=[_large_policy()] * 20),
    ),
    Operation(
        "PutUserPolicy, as large as may be",
        lambda c: c.iam.put_user_policy(
            UserName="user-00009", PolicyName="large", PolicyDocument=_large_policy(14)
        ),
    ),
    Operation(
        "ValidatePolicy",
        lambda c: c.accessanalyzer.validate_policy(
            policyDocument=_large_policy(), policyType="IDENTITY_POLICY"
        ),
    ),
    Operation("external findings over 1,000 roles", lambda c: _analyze(c, "ACCOUNT")),
    Operation("unused findings over 5,000 users", lambda c: _analyze(c, "ACCOUNT_UNUSED_ACCESS")),
    Operation("1,000 accounts made (each one of them)", _organize),
    Operation("ListAccounts, ListChildren", _tree),
    Operation("SCIM: a page of 5,000 users", _scim("/Users", startIndex="4801", count="200")),
    Operation("SCIM: a filter over 5,000 users", _scim("/Users", filter='emails.value co "n-4999@"')),
    Operation("SCIM: GET of a group of 5,000", _read_group),
    Operation("SCIM: PATCH of its 5,000 members", _exchange_members),
    Operation("identitystore: ListUsers, whole", _list_people),
    Operation("LookupEvents", paged("cloudtrail", "lookup_events", PaginationConfig={"MaxItems": 500})),
    Operation("DeleteGroup of 5,000 (refused)", lambda c: c.iam.delete_group(GroupName="all")),
    Operation("the console's overview", lambda c: c.page(f"/console/{ACCOUNT}/overview")),
    Operation("the console's users", lambda c: c.page(f"/console/{ACCOUNT}/users")),
    Operation("the console's roles", lambda c: c.page(f"/console/{ACCOUNT}/roles")),
    Operation("the console's policies", lambda c: c.page(f"/console/{ACCOUNT}/policies")),
)


def _settings(store: Path, folder: Path) -> dict[str, str]:
    return settings_of(store, folder) | {"BROKER_KEYS_MASTER_KEY_FILE": str(folder / "master.key")}


async def _prepare(store: Path, folder: Path) -> str:
    """The cookie of a session of the full account."""
    await growth.fill(f"sqlite:{store}", folder)
    settings = load_settings(None, _settings(store, folder))
    async with AsyncExitStack() as stack:
        broker = await stack.enter_async_context(open_broker(settings, {}))
        journal = open_journal(settings.audit)
        stack.callback(journal.close)
        dependencies = make_dependencies(broker, journal, Metrics())
        tools = Tools(**{name: getattr(dependencies, name) for name in Tools.__struct_fields__})
        await tools.store.transact(_complete)
        return await session_cookie(tools, ACCOUNT)


async def _complete(store: Transaction) -> None:
    """The caller may do everything, and everybody is in one group."""
    everything = policy_text({"Effect": "Allow", "Action": "*", "Resource": "*"})
    store.put(
        GROUPS,
        ACCOUNT,
        Group(account_id=ACCOUNT, group_name="all", group_id="AGPAALL", created_at=growth.CREATED_AT),
    )
    for user in await store.scan(USERS, ACCOUNT):
        policies = {"may": everything} if user.user_name == USER else user.inline_policies
        store.put(USERS, ACCOUNT, replace(user, groups=(*user.groups, "all"), inline_policies=policies))


def _measure(operation: Operation, clients: Clients, server: Server, file: Path) -> None:
    for turn in ("first", "again"):
        os.truncate(file, 0)
        begun, cpu, refused = time.perf_counter(), server.cpu_seconds(), ""
        try:
            operation.run(clients)
        except ClientError as refusal:
            refused = (
                f"  refused: {refusal.response['Error']['Code']}: {refusal.response['Error']['Message']}"
            )
        except OSError as failure:
            refused = f"  failed: {failure}"
        seconds, cpu = time.perf_counter() - begun, server.cpu_seconds() - cpu
        time.sleep(0.2)  # a step is written when it ends, and that is after its answer
        lines = [line.split("\t") for line in file.read_text().splitlines()]
        turns = max((float(line[1]) for line in lines if line[0] == "turn"), default=0.0)
        steps = sorted(
            ((float(line[1]), float(line[2]), line[3]) for line in lines if line[0] == "step"), reverse=True
        )
        longest, _, place = steps[0] if steps else (0.0, 0.0, "")
        garbage = max((one[1] for one in steps), default=0.0)
        many = sum(one[0] > 10 for one in steps)
        print(
            f"{operation.name:46}{turn:6}{longest:8.1f}{many:5}{turns:8.1f}{garbage:8.1f}"
            f"{cpu * 1000:9.0f}{seconds * 1000:9.0f}"
            f"  {place}{refused}",
            flush=True,
        )


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--only", nargs="*", default=[""], help="operations whose names have one of these words"
    )
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        store, file = folder / "broker.db", folder / "steps"
        cookie = asyncio.run(_prepare(store, folder))
        environment = _settings(store, folder) | {SERVED: str(file)}
        environment |= {f"BROKER_QUOTAS_{name}": "100000" for name in QUOTAS}
        ready = f"http://{OPERATIONS}/readyz"
        print(f"load average {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores; milliseconds")
        print(f"{'':52}{'longest':>8}{'>10':>5}{'turn':>8}{'garbage':>8}{'CPU':>9}{'answer':>9}")
        with Server([sys.executable, __file__], environment, API, ready, "0") as server:
            clients = Clients(server, PORTAL, cookie)
            for operation in MEASURED:
                if any(word in operation.name for word in chosen.only):
                    _measure(operation, clients, server, file)


def _serve() -> None:
    uvloop.new_event_loop = asyncio.new_event_loop  # it runs the same steps, and can be measured
    Steps(Path(os.environ[SERVED])).install()
    sys.argv = ["broker", "serve"]
    runpy.run_module("broker", run_name="__main__")


if __name__ == "__main__":
    _serve() if SERVED in os.environ else main()
