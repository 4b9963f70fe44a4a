"""Declarations as written: what is read, and that every refusal names file, line and remedy."""

import json
import textwrap
from itertools import pairwise
from pathlib import Path

import pytest
from msgspec import UNSET

from broker.declaration.declared import Declaration
from broker.declaration.reading import read_declaration
from broker.declaration.source import DeclarationError


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


def test_yaml_and_toml_read_the_same(tmp_path: Path) -> None:
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


def test_a_missing_key_is_unset_and_null_is_none(tmp_path: Path) -> None:
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
        ("accounts:\n  a: 1\n  a: 2\n", "demo.yaml:3: the key a is repeated"),
        ("accounts: [\n", "demo.yaml:2: "),
        ("accounts: !!python/object {}\n", "has no meaning here"),
        ("accounts: !secret x\n", "demo.yaml:1: the tag !secret has no meaning here"),
        ("accounts: &a {b: *a}\n", "demo.yaml:1: an anchor contains itself"),
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
def test_an_error_names_the_line_and_what_is_expected(tmp_path: Path, text: str, said: str) -> None:
    assert said in refusal(tmp_path, text)


def test_a_file_that_is_not_there_is_named() -> None:
    with pytest.raises(DeclarationError, match=r"/nowhere\.yaml cannot be read: No such file"):
        read_declaration(Path("/nowhere.yaml"))


def test_the_demo_is_a_declaration() -> None:
    declaration = read_declaration(Path(__file__).parents[3] / "config" / "demo.yaml")
    assert list(declaration.accounts) == ["111111111111", "222222222222"]


TOML = """
# [accounts.none]
[accounts.111111111111.users.one]
tags = {a = "b"}
[accounts.111111111111.policies."a.b"]
document = '''
[accounts]
oops = 1
'''
groups = 1

[[accounts.111111111111.users.two.access_keys]]
access_key_id = "AKIA"
[[accounts.111111111111.users.two.access_keys]]
access_key_id = "AKIA"
secret_fil = "x"
"""


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            TOML.replace("secret_fil ", "secret_file "),
            "t.toml:10: accounts.111111111111.policies.a.b.groups: there is no groups here",
        ),
        (
            TOML.replace("groups = 1", ""),
            "t.toml:16: accounts.111111111111.users.two.access_keys.1.secret_fil: there is no secret_fil",
        ),
        (
            '[accounts.1.users.b]\n\npath = "/"\ntgs = {a = 1}\n',
            "t.toml:4: accounts.1.users.b.tgs: there is no",
        ),
        ("[accounts.1.users.a]\ntags = [\n]\n", "t.toml:2: accounts.1.users.a.tags: a mapping belongs here"),
        (
            '[accounts.1]\nname = "x"\nusers = {a = {}, b = {tgs = 1}}\n',
            "t.toml:3: accounts.1.users.b.tgs: there is no tgs",
        ),
        (
            'accounts.1.users."a\\u0062" = {} # "\n[accounts.1.users.c]\n'
            'path = """\n[x]\n"quoted\\""""\nno = 1\n',
            "t.toml:6: accounts.1.users.c.no: there is no no here",
        ),
        ("[accounts.1.users.a]\n[accounts\n", "t.toml:2: Expected"),
    ],
)
def test_toml_names_the_line_of_what_is_refused(tmp_path: Path, text: str, said: str) -> None:
    assert refusal(tmp_path, text, "t.toml").startswith(said)


def test_what_is_not_utf_8_is_refused_by_its_line(tmp_path: Path) -> None:
    for name in ("demo.yaml", "demo.toml"):
        (tmp_path / name).write_bytes(b"# one\n# two\n# \xff\n")
        with pytest.raises(DeclarationError, match=rf"{name}:3: this line is not UTF-8"):
            read_declaration(tmp_path / name)
    assert refusal(tmp_path, "a: 1\nb: \x00\n").startswith("demo.yaml:2: control characters are not allowed")


LAUGHS = "a: &a [x,x,x,x,x,x,x,x,x]\n" + "".join(
    f"{name}: &{name} [{','.join([f'*{held}'] * 9)}]\n" for held, name in pairwise("abcdefghi")
)
BELOW = "a0: &a0 {a: {}}\n" + "".join(
    f"a{n}: &a{n} {'{a: ' * 50}*a{n - 1}{'}' * 50}\n" for n in range(1, 100)
)


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("demo.yaml", "accounts:\n  " + "[" * 20_000 + "]" * 20_000, "demo.yaml:2: nested too deeply"),
        ("demo.yaml", "accounts:\n  " + "{a: " * 3000 + "}" * 3000, "demo.yaml:2: nested too deeply"),
        ("demo.yaml", BELOW, "demo.yaml:1: nested too deeply"),
        ("demo.yaml", LAUGHS, "demo.yaml:1: anchors are repeated more than"),
        ("demo.toml", "a = " + "[" * 20_000 + "]" * 20_000, "demo.toml: nested too deeply"),
    ],
    ids=["lists", "mappings", "anchors in anchors", "laughs", "TOML"],
)
def test_endless_nesting_and_repetition_are_refused_at_once(
    tmp_path: Path, name: str, text: str, said: str
) -> None:
    assert refusal(tmp_path, text, name).startswith(said)
