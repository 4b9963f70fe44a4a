"""Declarations as written: what is read, and that every refusal names file, line and remedy."""

import json
import textwrap
from pathlib import Path

import pytest
from msgspec import UNSET

from broker.commands.declaration.declared import Declaration
from broker.commands.declaration.reading import read_declaration
from broker.commands.declaration.source import DeclarationError


def read(folder: Path, text: str, name: str = "demo.yaml") -> Declaration:
    file = folder / name
    file.write_text(textwrap.dedent(text))
    return read_declaration(file)


def refusal(folder: Path, text: str, name: str = "demo.yaml") -> str:
    with pytest.raises(DeclarationError) as refused:
        read(folder, text, name)
    return str(refused.value).replace(f"{folder}/", "")


def test_account_ids_keep_their_zeros_and_versions_are_no_dates(tmp_path: Path) -> None:
    declaration = read(
        tmp_path,
        """
        accounts:
          012345670123:
            policies:
              p: {document: {Version: 2012-10-17, Statement: {Effect: Allow, Action: "*", Resource: "*"}}}
        """,
    )
    policy = declaration.accounts["012345670123"].policies["p"]
    assert json.loads(policy.document.text)["Version"] == "2012-10-17"


def test_yaml_and_toml_say_the_same(tmp_path: Path) -> None:
    yaml = read(
        tmp_path,
        """
        accounts:
          "111111111111":
            users: {alice: {groups: [a], access_keys: 1, tags: {n: 5}}}
        instances: {i-1: {account_id: "111111111111", hop_limit: 2, tokens_required: false}}
        """,
    )
    toml = read(
        tmp_path,
        """
        [accounts.111111111111.users.alice]
        groups = ["a"]
        access_keys = 1
        tags = {n = 5}
        [instances.i-1]
        account_id = "111111111111"
        hop_limit = 2
        tokens_required = false
        """,
        "demo.toml",
    )
    for declaration in (yaml, toml):
        alice = declaration.accounts["111111111111"].users["alice"]
        assert (alice.groups, alice.access_keys, alice.tags) == (("a",), 1, {"n": "5"})
        instance = declaration.instances["i-1"]
        assert (instance.hop_limit, instance.tokens_required) == (2, False)


def test_what_the_file_does_not_speak_of_is_unset_and_null_is_none(tmp_path: Path) -> None:
    text = """
        accounts:
          "111111111111":
            users:
              alice:
              bob: {permissions_boundary: null}
        """
    users = read(tmp_path, text).accounts["111111111111"].users
    assert users["alice"].permissions_boundary is UNSET
    assert users["bob"].permissions_boundary is None


def test_a_document_may_be_a_mapping_a_text_or_a_file(tmp_path: Path) -> None:
    (tmp_path / "policy.json").write_text('{"Statement": []}')
    policies = (
        read(
            tmp_path,
            """
            accounts:
              "111111111111":
                policies:
                  a: {document: {Statement: []}}
                  b: {document: '{"Statement": []}'}
                  c: {document: {file: policy.json}}
            """,
        )
        .accounts["111111111111"]
        .policies
    )
    assert [json.loads(policy.document.text) for policy in policies.values()] == [{"Statement": []}] * 3


def test_an_anchor_is_read_wherever_it_is_named(tmp_path: Path) -> None:
    text = """
        accounts:
          "111111111111":
            users:
              alice: &developer {groups: [developers]}
              bob: *developer
        """
    assert read(tmp_path, text).accounts["111111111111"].users["bob"].groups == ("developers",)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("acounts: {}\n", "demo.yaml:1: acounts: there is no acounts here; did you mean accounts?"),
        (
            'accounts:\n  "1":\n    users:\n      al:\n        polices: []\n',
            "demo.yaml:5: accounts.1.users.al.polices: there is no polices here; did you mean ",
        ),
        (
            'accounts:\n  "1":\n    users: [al]\n',
            "demo.yaml:3: accounts.1.users: a mapping belongs here, not a list",
        ),
        ('accounts: {"1": {users: {al: {groups: dev}}}}\n', "a list belongs here, not 'dev'"),
        (
            'accounts:\n  "1":\n    roles:\n      r: {}\n',
            "demo.yaml:4: accounts.1.roles.r: trust_policy is missing",
        ),
        (
            'accounts:\n  "1":\n    roles:\n      r:\n        trust_policy: {}\n        max_session_duration: long\n',
            "demo.yaml:6: accounts.1.roles.r.max_session_duration: a whole number belongs here, not 'long'",
        ),
        ("instances: {i-1: {tokens_required: maybe}}\n", "true or false belongs here, not 'maybe'"),
        ("accounts:\n  a: 1\n  a: 2\n", "demo.yaml:3: a stands here twice"),
        ("accounts: [\n", "demo.yaml:2: "),
        ("accounts: !!python/object {}\n", "has no meaning here"),
        ("accounts: !secret x\n", "demo.yaml:1: the tag !secret has no meaning here"),
        ("accounts: &a {b: *a}\n", "demo.yaml:1: an anchor holds itself"),
        ("? [a]\n: b\n", "demo.yaml:1: a key is a plain text here"),
        ("", "demo.yaml is empty; config/demo.yaml shows"),
        (
            'accounts:\n  "1":\n    policies:\n      p:\n        document: {file: none.json}\n',
            "demo.yaml:5: accounts.1.policies.p.document.file: none.json cannot be read: No such file",
        ),
        ('accounts: {"1": {alias: {a: b}}}\n', "a mapping does not belong here"),
        ('accounts: {"1": {name: {a: b}}}\n', "a text belongs here, not a mapping"),
    ],
)
def test_a_refusal_names_the_line_and_what_would_do(tmp_path: Path, text: str, said: str) -> None:
    assert said in refusal(tmp_path, text)


def test_a_refusal_of_toml_names_the_path(tmp_path: Path) -> None:
    said = refusal(tmp_path, '[accounts.1.users.al]\ngroup = ["a"]\n', "demo.toml")
    assert said == "demo.toml: accounts.1.users.al.group: there is no group here; did you mean groups?"


def test_a_file_that_is_not_there_is_named() -> None:
    with pytest.raises(DeclarationError, match=r"/nowhere\.yaml cannot be read: No such file"):
        read_declaration(Path("/nowhere.yaml"))


def test_the_demo_is_a_declaration() -> None:
    declaration = read_declaration(Path(__file__).parents[3] / "config" / "demo.yaml")
    assert list(declaration.accounts) == ["111111111111", "222222222222"]
