"""Applying declarations to a real store: what is created, changed, removed, not changed, refused."""

import json
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any, cast

import msgspec
import pytest
from msgspec.structs import replace

from broker.access.trust import bound_trust_policy
from broker.app import Broker, clock
from broker.commands.applying import apply_declaration
from broker.declaration.attempt import form_of
from broker.declaration.reading import read_declaration
from broker.declaration.source import DeclarationError
from broker.storage.engine import (
    Engine,
    EngineUnavailable,
    OutcomeUnknown,
    Revision,
    Write,
    account_partition,
)
from broker.storage.records import User
from broker.storage.store import (
    ACCESS_KEYS,
    ACCOUNTS,
    FOREIGN_ACCESS_KEYS,
    GROUPS,
    INSTANCE_PROFILES,
    INSTANCES,
    ORGANIZATION,
    POLICIES,
    ROLES,
    USERS,
    Store,
    Transaction,
)
from tests.unit.commands.conftest import Declare

CONFIG = Path(__file__).parents[3] / "config"
A = "111111111111"
B = "222222222222"

FULL = """
    accounts:
      "111111111111":
        name: first
        alias: first
        policies:
          reader:
            path: /team/
            description: reads
            tags: {owner: a}
            document: &reads
              Version: "2012-10-17"
              Statement: {Effect: Allow, Action: "s3:GetObject", Resource: "*"}
        groups:
          developers: {inline_policies: {look: *reads}, attached_policies: [reader]}
        users:
          alice:
            path: /people/
            tags: {team: x}
            permissions_boundary: reader
            groups: [developers]
            inline_policies: {look: *reads}
            attached_policies: [reader, "arn:aws:iam::aws:policy/ReadOnlyAccess"]
            access_keys: 1
        roles:
          web:
            path: /service/
            description: web servers
            max_session_duration: 7200
            trust_policy: &ec2
              Version: "2012-10-17"
              Statement: {Effect: Allow, Principal: {Service: ec2.amazonaws.com}, Action: "sts:AssumeRole"}
            attached_policies: [reader]
        instance_profiles:
          web: {role: web, tags: {a: b}}
    instances:
      i-1: {account_id: "111111111111", instance_profile: web, addresses: [10.0.0.1], user_data: "hello"}
    organization:
      organization_id: o-1
      management_account_id: "222222222222"
      features: [SERVICE_CONTROL_POLICY]
      units:
        r-1:
          service_control_policies:
            all: &all {Version: "2012-10-17", Statement: {Effect: Allow, Action: "*", Resource: "*"}}
      accounts:
        "111111111111": {parent: r-1, service_control_policies: {all: *all}}
    """


def account(body: str) -> str:
    """A declaration of account A whose members are `body`, flow style."""
    return f'accounts: {{"{A}": {body}}}\n'


async def test_everything_declared_is_created(declare: Declare) -> None:
    await declare(FULL)
    alice = await declare.find(USERS, A, "alice")
    reader = f"arn:aws:iam::{A}:policy/team/reader"
    assert (alice.arn, alice.tags, alice.groups) == (
        f"arn:aws:iam::{A}:user/people/alice",
        {"team": "x"},
        ("developers",),
    )
    assert alice.permissions_boundary == reader
    assert alice.attached_policies == (reader, "arn:aws:iam::aws:policy/ReadOnlyAccess")
    assert json.loads(alice.inline_policies["look"])["Statement"]["Action"] == "s3:GetObject"
    assert len(alice.access_key_ids) == 1
    assert (await declare.find(POLICIES, A, "reader")).description == "reads"
    assert (await declare.find(GROUPS, A, "developers")).attached_policies == (reader,)
    web = await declare.find(ROLES, A, "web")
    assert (web.path, web.description, web.max_session_duration) == ("/service/", "web servers", 7200)
    assert (await declare.find(INSTANCE_PROFILES, A, "web")).role_names == ("web",)
    assert (await declare.find(ACCOUNTS, "", A)).alias == "first"
    instance = await declare.find(INSTANCES, "", "i-1")
    assert (instance.instance_profile, instance.addresses, instance.user_data) == (
        "web",
        ("10.0.0.1",),
        b"hello",
    )
    organization = await declare.find(ORGANIZATION, "")
    assert organization.accounts[A].parent == "r-1"
    (attached,) = organization.units["r-1"].policies
    assert organization.policies[attached].name == "all"


@pytest.mark.parametrize("head", ["roles: {r: {path: /,", "policies: {p: {path: /,", "users: {u: {path: /,"])
async def test_a_malformed_document_is_refused_at_its_own_line(declare: Declare, head: str) -> None:
    key = {"r": "trust_policy: %s", "p": "document: %s", "u": "inline_policies: {in: %s}"}[head[0]]
    wrong = key % '{Version: "2012-10-17", Statement: {Effect: Alow}}'
    with pytest.raises(DeclarationError, match=r"demo\.yaml:4: .*MalformedPolicyDocument"):
        await declare(f'accounts:\n  "{A}":\n    {head}\n      {wrong}}}}}\n')


@pytest.mark.parametrize("prune", [False, True])
async def test_a_second_run_changes_nothing(declare: Declare, prune: bool) -> None:
    await declare(FULL)
    assert await declare(FULL, prune=prune) == []


@pytest.mark.parametrize("name", ["demo.yaml", "production.yaml"])
async def test_the_examples_apply_and_apply_again_without_a_change(broker: Broker, name: str) -> None:
    file = CONFIG / name
    for expected in (True, False):
        attempt = await apply_declaration(broker, read_declaration(file), "apply", file.parent)
        assert bool(attempt.changes) is expected


async def test_a_dry_run_shows_the_same_and_writes_nothing(declare: Declare) -> None:
    planned = await declare(FULL, dry=True)
    assert await declare.find(ACCOUNTS, "", A) is None
    assert await declare.find(USERS, A, "alice") is None
    assert await declare(FULL) == planned


async def test_what_the_file_does_not_mention_is_not_changed(declare: Declare) -> None:
    await declare(FULL)
    assert await declare(account("{users: {alice: {}}}")) == []


async def test_what_a_list_does_not_name_is_removed(declare: Declare) -> None:
    await declare(FULL)
    changes = await declare(
        account(
            "{users: {alice: {groups: [], attached_policies: [reader], tags: {Team: y}, inline_policies: {}, "
            "permissions_boundary: null, path: /}}}"
        )
    )
    assert changes == [
        "~ user alice: path /people/ -> /",
        f"- user alice: permissions boundary arn:aws:iam::{A}:policy/team/reader",
        "- user alice: tags team",
        "~ user alice: tags Team=y",
        "- user alice: group developers",
        "- user alice: inline policy look",
        "- user alice: attached policy arn:aws:iam::aws:policy/ReadOnlyAccess",
    ]
    alice = await declare.find(USERS, A, "alice")
    assert (alice.groups, alice.tags, alice.inline_policies, alice.path) == ((), {"Team": "y"}, {}, "/")


async def test_a_changed_document_becomes_the_default_version_and_the_oldest_version_is_deleted(
    declare: Declare,
) -> None:
    for number in range(7):
        changes = await declare(
            account(
                "{policies: {p: {document: {Version: 2012-10-17, "
                f"Statement: {{Effect: Allow, Action: 's3:Get{number}', Resource: '*'}}}}}}}}}}"
            )
        )
    assert changes == ["- policy p: version v2", "~ policy p: document"]
    policy = await declare.find(POLICIES, A, "p")
    assert (policy.default_version_id, len(policy.versions)) == ("v7", 5)
    assert "s3:Get6" in policy.document


async def test_a_name_in_another_case_is_the_same_name(declare: Declare) -> None:
    await declare(FULL)
    policies = "[Reader, 'arn:aws:iam::aws:policy/ReadOnlyAccess']"
    alice = f"{{groups: [Developers], attached_policies: {policies}, permissions_boundary: READER}}"
    text = account(f"{{users: {{alice: {alice}}}, instance_profiles: {{web: {{role: WEB}}}}}}")
    assert await declare(text) == []


async def test_a_change_shows_the_old_and_the_new_value(declare: Declare) -> None:
    await declare(FULL)
    text = (
        FULL.replace("7200", "3600").replace("[10.0.0.1]", "[10.0.0.2, fd00::1]").replace('"hello"', "S3CRET")
    )
    text = text.replace("i-1: {", "i-1: {hop_limit: 2, tags: {a: b}, ").replace("name: first", "name: second")
    text = text.replace("web servers", "the servers of the web").replace("owner: a", "owner: b")
    changes = await declare(text, dry=True)
    assert changes == [
        f"~ account {A}: name first -> second",
        "~ policy reader: tags owner a -> b",
        "~ role web: description web servers -> the servers of the web, max_session_duration 7200 -> 3600",
        "~ instance i-1: addresses [10.0.0.1] -> [10.0.0.2, fd00::1], tags, user_data, hop_limit 1 -> 2",
    ]
    assert await declare(text) == changes


async def test_only_what_changes_is_shown(declare: Declare) -> None:
    await declare(FULL)
    assert await declare(FULL.replace("7200", "3600")) == ["~ role web: max_session_duration 7200 -> 3600"]


async def test_white_space_and_order_in_a_document_are_no_change(declare: Declare) -> None:
    await declare(FULL)
    text = '{"Statement": {"Resource": "*", "Action": "s3:GetObject", "Effect": "Allow"},  "Version": "2012-10-17"}'
    assert await declare(account(f"{{policies: {{reader: {{document: '{text}'}}}}}}")) == []


async def test_roles_may_trust_each_other_and_themselves(declare: Declare) -> None:
    def trust(*arns: str) -> str:
        listed = ", ".join(f'"{arn}"' for arn in arns)
        return (
            "{trust_policy: {Version: 2012-10-17, Statement: {Effect: Allow, "
            f"Principal: {{AWS: [{listed}]}}, Action: 'sts:AssumeRole'}}}}}}"
        )

    one, two = f"arn:aws:iam::{A}:role/one", f"arn:aws:iam::{B}:role/two"
    text = (
        f'accounts:\n  "{A}":\n    roles:\n      one: {trust(one, two)}\n'
        f'  "{B}":\n    roles:\n      two: {trust(one)}\n'
    )
    changes = await declare(text)
    assert changes == [f"+ account {A}", f"+ account {B}", "+ role one", "+ role two"]
    first, second = await declare.find(ROLES, A, "one"), await declare.find(ROLES, B, "two")
    assert first.role_id in str(bound_trust_policy(first))
    assert second.role_id in str(bound_trust_policy(first))
    assert first.role_id in str(bound_trust_policy(second))
    assert await declare(text) == []


async def test_a_role_trusts_the_new_user_where_the_old_one_was_deleted(declare: Declare) -> None:
    text = account(
        "{users: {alice: {}}, roles: {r: {trust_policy: {Version: 2012-10-17, Statement: {Effect: Allow, "
        f"Principal: {{AWS: 'arn:aws:iam::{A}:user/alice'}}, Action: 'sts:AssumeRole'}}}}}}}}}}"
    )
    await declare(text)
    await declare(account("{users: {}, roles: {}}"))
    attempt = await declare.attempt(account("{}"), dry=True)
    await attempt.perform(A, "DeleteUser", {"UserName": "alice"}, "-", "user alice", "test")
    await attempt.store.commit()
    assert await declare(text) == ["+ user alice", "~ role r: trust policy"]
    role, alice = await declare.find(ROLES, A, "r"), await declare.find(USERS, A, "alice")
    assert alice.user_id in str(bound_trust_policy(role))


async def test_without_prune_nothing_unnamed_is_deleted(declare: Declare) -> None:
    await declare(FULL)
    assert await declare(account("{}")) == []
    assert await declare.find(USERS, A, "alice") is not None


async def test_prune_deletes_what_the_file_does_not_name_in_its_accounts(declare: Declare) -> None:
    await declare(FULL)
    await declare(f'accounts: {{"{B}": {{users: {{bob: {{}}}}}}}}')
    changes = await declare(account("{users: {carol: {}}}"), prune=True)
    assert changes == [
        "- alias first",
        "+ user carol",
        "- instance i-1",
        "- instance profile web",
        "- role web",
        "- user alice",
        "- group developers",
        "- policy reader",
    ]
    assert await declare.find(USERS, A, "alice") is None
    assert await declare.find(USERS, B, "bob") is not None
    assert await declare.find(ACCOUNTS, "", A) is not None


async def test_prune_removes_properties_of_a_named_user_that_the_file_does_not_mention(
    declare: Declare,
) -> None:
    await declare(FULL)
    await declare(account("{users: {alice: {path: /people/}}}"), prune=True)
    alice = await declare.find(USERS, A, "alice")
    assert (alice.groups, alice.attached_policies, alice.inline_policies, alice.tags) == ((), (), {}, {})
    assert alice.permissions_boundary is None
    assert len(alice.access_key_ids) == 1


async def test_prune_leaves_what_only_the_service_may_change(declare: Declare) -> None:
    await declare(account("{}"))
    attempt = await declare.attempt(account("{}"), dry=True)
    trust = {
        "Version": "2012-10-17",
        "Statement": {"Effect": "Allow", "Principal": {"Service": "a.amazonaws.com"}},
    }
    trust["Statement"]["Action"] = "sts:AssumeRole"  # type: ignore[index]
    parameters = {"RoleName": "Linked", "AssumeRolePolicyDocument": json.dumps(trust)}
    await attempt.perform(A, "CreateRole", parameters, "+", "role", "test")
    role = await attempt.store.find(ROLES, A, "Linked")
    assert role is not None
    attempt.store.put(ROLES, A, replace(role, path="/aws-service-role/a.amazonaws.com/"))
    await attempt.store.commit()
    assert await declare(account("{}"), prune=True) == []


async def test_a_refused_change_names_line_and_reason_and_changes_nothing(declare: Declare) -> None:
    text = f"""
        accounts:
          "{A}":
            users:
              alice: {{}}
            groups:
              developers:
                inline_policies:
                  p: {{Version: 2012-10-17, Statement: [{{Effect: Permit, Action: "*", Resource: "*"}}]}}
        """
    with pytest.raises(DeclarationError) as refused:
        await declare(text)
    where = f"demo.yaml:9: accounts.{A}.groups.developers.inline_policies.p"
    assert f"{where}: PutGroupPolicy was refused: Malformed" in str(refused.value)
    assert await declare.find(USERS, A, "alice") is None
    assert await declare.find(ACCOUNTS, "", A) is None


async def test_not_principal_in_a_trust_policy_is_refused_where_it_is_new_and_left_where_it_is_not(
    declare: Declare,
) -> None:
    body = '{roles: {app: {trust_policy: {Version: "2012-10-17", Statement: %s}}}}'
    spared = body % f'{{Effect: Deny, NotPrincipal: {{AWS: "{A}"}}, Action: "sts:AssumeRole"}}'
    with pytest.raises(DeclarationError, match="Has prohibited field NotPrincipal"):
        await declare(account(spared))
    assert await declare.find(ROLES, A, "app") is None
    await declare(account(body % f'{{Effect: Allow, Principal: {{AWS: "{A}"}}, Action: "sts:AssumeRole"}}'))
    with pytest.raises(DeclarationError, match="Has prohibited field NotPrincipal"):
        await declare(account(spared))
    text = declare.read(account(spared)).accounts[A].roles["app"].trust_policy.text
    stored = replace(await declare.find(ROLES, A, "app"), assume_role_policy=text)

    async def store_it(store: Transaction) -> None:
        store.put(ROLES, A, stored)

    await declare.broker.store.transact(store_it)
    assert await declare(account(spared)) == []


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('accounts: {"1": {}}', "an account's id has twelve digits"),
        (
            account("{users: {'a b': {}}}"),
            "CreateUser was refused: ValidationError: The specified value for userName is invalid",
        ),
        (account("{users: {a: {path: people}}}"), "CreateUser was refused: ValidationError"),
        (
            account("{users: {a: {groups: [none]}}}"),
            "AddUserToGroup was refused: NoSuchEntity: The group with name",
        ),
        (
            account("{users: {a: {attached_policies: [reader]}}}"),
            f"account {A} has no policy reader; declare it",
        ),
        (
            account("{users: {a: {attached_policies: [ReadOnlyAccess]}}}"),
            "for AWS's policy write arn:aws:iam::aws:policy/ReadOnlyAccess",
        ),
        (account("{users: {a: {access_keys: -1}}}"), "access_keys is a list or a number of keys, not -1"),
        (account("{users: {a: {access_keys: 3}}}"), "CreateAccessKey was refused: LimitExceeded"),
        ("instances: {i-1: {hop_limit: 2}}", "account_id is missing: whose instance is it?"),
        (f'instances: {{i-1: {{account_id: "{A}"}}}}', f"there is no account {A}; declare it"),
        (
            account("{}") + f'instances: {{i-1: {{account_id: "{A}", addresses: [x]}}}}',
            "instances.i-1: x is no address",
        ),
        (
            account("{}")
            + f'instances: {{i-1: {{account_id: "{A}", addresses: [10.0.0.1]}}, '
            + f'i-2: {{account_id: "{A}", addresses: ["::ffff:10.0.0.1"]}}}}',
            "i-1 has the address 10.0.0.1 already",
        ),
        *[
            (
                account("{}") + f'instances: {{i-1: {{account_id: "{A}", hop_limit: {limit}}}}}',
                f"instances.i-1: hop_limit is a number from 1 to 64, not {limit}",
            )
            for limit in (0, 65, 255, 256, -1)
        ],
        *[
            (
                account("{}") + f'instances: {{i-1: {{account_id: "{A}", mac: "{mac}"}}}}',
                "instances.i-1: mac is six pairs of lower-case hexadecimal digits",
            )
            for mac in ("zz", "../x", "0e:49:61:0f:c3:1", "0E:49:61:0F:C3:11", "0e-49-61-0f-c3-11")
        ],
        *[
            (
                account("{}") + f'instances: {{i-1: {{account_id: "{A}", categories: {{"{path}": x}}}}}}',
                "is no path below meta-data: write steps as in spot/instance-action",
            )
            for path in ("../user-data", "", "/", "spot//x", "spot/", "a b", "spot/.", "é")
        ],
        *[
            (
                account("{}") + f'instances: {{i-1: {{account_id: "{A}", categories: {{"{path}": x}}}}}}',
                "credentials come from the broker alone",
            )
            for path in ("iam/security-credentials/evil", "identity-credentials/ec2/info", "iam")
        ],
        (
            "organization: {organization_id: o, management_account_id: '222222222222', "
            "units: {a: {parent: b}, b: {parent: a}}}",
            "a is its own ancestor",
        ),
        (
            "organization: {organization_id: o, management_account_id: '222222222222', units: {a: {parent: c}}}",
            "there is no unit c to be its parent",
        ),
        (
            "organization: {organization_id: o, management_account_id: '222222222222', "
            "features: [SERVICE_CONTROL_POLICY], units: {a: {service_control_policies: {p: {Version: x}}}}}",
            "organization.units.a.service_control_policies.p: ",
        ),
    ],
)
async def test_an_invalid_declaration_is_refused_with_its_reason(
    declare: Declare, text: str, said: str
) -> None:
    with pytest.raises(DeclarationError) as refused:
        await declare(text)
    assert said in str(refused.value)
    assert "demo.yaml:" in str(refused.value)


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (
            "{policies: {reader: {path: /other/, document: {file: p.json}}}}",
            "the path of policy reader is '/team/'",
        ),
        ("{policies: {Reader: {document: {file: p.json}}}}", "the name of policy Reader is 'reader'"),
        ("{users: {Alice: {}}}", "the name of user Alice is 'alice'"),
        ("{roles: {web: {path: /, trust_policy: {file: p.json}}}}", "the path of role web is '/service/'"),
    ],
)
async def test_what_is_chosen_at_creation_cannot_be_changed(declare: Declare, body: str, said: str) -> None:
    await declare(FULL)
    (declare.folder / "p.json").write_text("{}")
    with pytest.raises(DeclarationError, match="cannot be changed; delete it first") as refused:
        await declare(account(body))
    assert said in str(refused.value)


async def test_keys_are_created_once_and_shown_once(declare: Declare) -> None:
    text = account("{users: {alice: {access_keys: 2}}}")
    attempt = await declare.attempt(text)
    assert len({key.access_key_id for key in attempt.keys}) == 2
    stored = await declare.find(ACCESS_KEYS, A, attempt.keys[0].access_key_id)
    assert stored.secret == attempt.keys[0].secret
    assert (await declare.attempt(text)).keys == []


async def test_a_fixed_key_becomes_an_active_key_of_the_user(
    declare: Declare, monkeypatch: pytest.MonkeyPatch
) -> None:
    (declare.folder / "secret").write_text("a-secret-of-twenty-chars\n")
    monkeypatch.setenv("DEMO_SECRET", "another-secret-of-twenty")
    text = account(
        "{users: {alice: {access_keys: [{access_key_id: AKIADEMODEMODEMO, secret_file: secret}, "
        "{access_key_id: AKIAOTHEROTHERXX, secret_variable: DEMO_SECRET}]}}}"
    )
    assert len(await declare(text)) == 4
    assert (await declare.find(FOREIGN_ACCESS_KEYS, "", "AKIADEMODEMODEMO")).account_id == A
    key = await declare.find(ACCESS_KEYS, A, "AKIAOTHEROTHERXX")
    assert (key.user_name, key.secret.reveal()) == ("alice", "another-secret-of-twenty")
    assert await declare(text) == []
    monkeypatch.setenv("DEMO_SECRET", "a-new-secret-of-twenty-c")
    assert await declare(text) == ["~ user alice: access key AKIAOTHEROTHERXX"]
    with pytest.raises(DeclarationError, match="belongs to another user"):
        await declare(text.replace("alice", "mallory"))


@pytest.mark.parametrize(
    ("key", "said"),
    [
        (
            "{access_key_id: short, secret_file: s}",
            "access_key_id has 16 to 128 letters, digits and underscores",
        ),
        ("{access_key_id: AKIADEMODEMODEMO}", "one of secret_file and secret_variable says where"),
        ("{access_key_id: AKIADEMODEMODEMO, secret_file: none}", "none cannot be read, or is empty"),
        ("{access_key_id: AKIADEMODEMODEMO, secret_variable: UNSET_X}", "variable UNSET_X is not set"),
        (
            "{access_key_id: AKIADEMODEMODEMO, secret_file: s}",
            "a secret access key has at least 16 characters",
        ),
    ],
)
async def test_an_invalid_fixed_key_is_refused(declare: Declare, key: str, said: str) -> None:
    (declare.folder / "s").write_text("short")
    with pytest.raises(DeclarationError) as refused:
        await declare(account(f"{{users: {{alice: {{access_keys: [{key}]}}}}}}"))
    assert said in str(refused.value)


async def test_every_change_is_an_event_of_the_accounts_root_without_secrets(declare: Declare) -> None:
    attempt = await declare.attempt(FULL)
    names = {(event.event_source, event.event_name) for event in attempt.events}
    assert {("iam.amazonaws.com", "CreateUser"), ("broker", "PutInstance")} <= names
    created = next(event for event in attempt.events if event.event_name == "CreateUser")
    assert created.user_identity.arn == f"arn:aws:iam::{A}:root"
    assert created.request_parameters is not None
    assert created.request_parameters["userName"] == "alice"
    assert attempt.keys[0].secret.reveal() not in repr(attempt.events)
    assert len(attempt.events) == len(attempt.changes)


MANAGED = f"management_account_id: '{B}'"
ALL = "{all: {Version: 2012-10-17, Statement: {Effect: Allow, Action: '*', Resource: '*'}}}"


@pytest.mark.parametrize(
    ("members", "said"),
    [
        (
            f"{MANAGED}, features: [SERVICE_CONTROL_POLICIES]",
            "there is no feature SERVICE_CONTROL_POLICIES; there are SERVICE",
        ),
        (
            f"{MANAGED}, units: {{r-1: {{service_control_policies: {ALL}}}}}",
            "organization.units.r-1: its service_control_policies have no effect: "
            "features lacks SERVICE_CONTROL_POLICY",
        ),
        (
            f"{MANAGED}, features: [SERVICE_CONTROL_POLICY], units: {{r: {{}}}}, "
            f"accounts: {{'{A}': {{parent: r, resource_control_policies: {ALL}}}}}",
            f"organization.accounts.{A}: its resource_control_policies have no effect",
        ),
        ("management_account_id: '22222222222'", "management_account_id has twelve digits"),
        (
            f"{MANAGED}, delegated_iam_administrator_id: ops",
            "delegated_iam_administrator_id has twelve digits",
        ),
    ],
)
async def test_an_organization_without_the_declared_effect_is_refused(
    declare: Declare, members: str, said: str
) -> None:
    with pytest.raises(DeclarationError) as refused:
        await declare(f"organization: {{organization_id: o-1, {members}}}")
    assert said in str(refused.value)


async def test_a_control_policy_limits_apply_as_it_limits_every_caller(declare: Declare) -> None:
    await declare(FULL)
    await declare(
        f"""
        organization:
          organization_id: o-1
          management_account_id: "{B}"
          features: [SERVICE_CONTROL_POLICY]
          units: {{r-1: {{service_control_policies: {{all: &all {{Version: 2012-10-17, Statement:
            [{{Effect: Allow, Action: "*", Resource: "*"}}, {{Effect: Deny, Action: "iam:CreateUser", Resource: "*"}}]
            }}}}}}}}
          accounts: {{"{A}": {{parent: r-1, service_control_policies: {{all: *all}}}}}}
        """
    )
    with pytest.raises(DeclarationError, match="explicit deny in a service control policy"):
        await declare(account("{users: {bob: {}}}"))


def test_a_form_has_members_numbered_from_one() -> None:
    assert form_of({"A": "x", "B": None, "C": True, "D": 5, "E": ["p", "q"], "F": [{"Key": "k"}]}) == {
        "A": "x",
        "C": "true",
        "D": "5",
        "E.member.1": "p",
        "E.member.2": "q",
        "F.member.1.Key": "k",
    }


@pytest.mark.parametrize("limit", [1, 64])
async def test_an_instance_has_the_hop_limit_mac_and_categories_that_are_declared(
    declare: Declare, limit: int
) -> None:
    text = f"hop_limit: {limit}, mac: '0e:49:61:0f:c3:11', categories: {{spot/instance-action: stop}}"
    await declare(account("{}") + f'instances: {{i-1: {{account_id: "{A}", {text}}}}}')
    instance = await declare.find(INSTANCES, "", "i-1")
    assert (instance.hop_limit, instance.mac) == (limit, "0e:49:61:0f:c3:11")
    assert instance.categories == {"spot/instance-action": "stop"}


TWO_ACCOUNTS = """
    accounts:
      "111111111111":
        users: {alice: {access_keys: 1}}
      "222222222222":
        users: {bob: {access_keys: 1}}
"""


class Interrupted:
    """An engine in which `happens` comes before the first commit to the second account."""

    def __init__(self, engine: Engine, happens: Callable[[], Awaitable[None]]) -> None:
        self._engine = engine
        self._happens: Callable[[], Awaitable[None]] | None = happens

    def __getattr__(self, name: str) -> Any:
        return getattr(self._engine, name)

    async def commit(self, partition: str, writes: Sequence[Write], expecting: Revision | None) -> Revision:
        if partition == account_partition(B) and self._happens is not None:
            happens, self._happens = self._happens, None
            await happens()
        return await self._engine.commit(partition, writes, expecting)


def interrupted(broker: Broker, folder: Path, happens: Callable[[], Awaitable[None]]) -> Declare:
    store = Store(cast(Engine, Interrupted(broker.store.engine, happens)), clock)
    return Declare(msgspec.structs.replace(broker, store=store), folder)


async def make_bob(broker: Broker) -> None:
    bob = User(account_id=B, user_name="bob", user_id="AIDABOB", created_at=0)

    async def work(store: Transaction) -> None:
        store.put(USERS, B, bob)

    await broker.store.transact(work)


async def fail(broker: Broker) -> None:
    raise EngineUnavailable("the disk is gone")


@pytest.mark.parametrize("happens", [make_bob, fail])
async def test_keys_of_an_attempt_that_was_committed_in_part_are_taken_back(
    broker: Broker,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    happens: Callable[[Broker], Awaitable[None]],
) -> None:
    """Accounts are committed one after another."""
    declare = interrupted(broker, tmp_path, lambda: happens(broker))
    with pytest.raises(OutcomeUnknown):
        await declare.attempt(TWO_ACCOUNTS)
    assert (await declare.find(USERS, A, "alice")).access_key_ids == ()
    assert "of alice in 111111111111 was taken back" in capsys.readouterr().err
    records = [json.loads(line) for line in (tmp_path / "audit.jsonl").read_text().splitlines()]
    assert records[-1]["eventName"] == "DeleteAccessKey"
    failed = [record for record in records if "errorCode" in record]
    assert {record["additionalEventData"]["outcome"] for record in failed} == {"unknown"}
    again = await declare.attempt(TWO_ACCOUNTS)
    assert sorted(key.user for key in again.keys) == ["alice", "bob"]


async def test_events_of_an_attempt_with_a_conflict_are_followed_by_an_error(
    broker: Broker, tmp_path: Path
) -> None:
    declare = interrupted(broker, tmp_path, lambda: make_bob(broker))
    await Declare(broker, tmp_path)('accounts: {"222222222222": {}}')
    (tmp_path / "audit.jsonl").unlink()
    attempt = await declare.attempt('accounts: {"222222222222": {users: {bob: {access_keys: 1}}}}')
    (key,) = attempt.keys
    assert (await declare.find(USERS, B, "bob")).access_key_ids == (key.access_key_id,)
    records = [json.loads(line) for line in (tmp_path / "audit.jsonl").read_text().splitlines()]
    said = [(record["eventName"], record.get("errorCode")) for record in records]
    tried = ["CreateUser", "CreateAccessKey"]
    assert said == [
        *((name, None) for name in tried),
        *((name, "ConcurrentModification") for name in tried),
        ("CreateAccessKey", None),
    ]
    requests = [record["requestID"] for record in records]
    assert requests[:2] == requests[2:4] and requests[4] not in requests[:4]
    assert len({record["eventID"] for record in records}) == len(records)
