from typing import Any

import pytest

from broker.declaration.source import DeclarationError
from broker.storage.store import ROLE_TEMPLATES

A = "111111111111"
TRUST = (
    '{"Version":"2012-10-17","Statement":{"Effect":"Allow","Principal":{"AWS":"@{account}"},'
    '"Action":"sts:AssumeRole"}}'
)


def templates(role_name: str = "app-@{app}", more: str = "", parameters: str = "app: {}, account: {}") -> str:
    """A declaration of one template; `more` are further lines of it."""
    return f"""
accounts:
  "{A}":
    role_templates:
      app:
        role_name: "{role_name}"
        trust_policy: '{TRUST}'
        parameters: {{{parameters}}}
        {more}
"""


async def test_a_template_is_written_and_a_change_makes_a_new_version(declare: Any) -> None:
    await declare(templates())
    first = await declare.find(ROLE_TEMPLATES, A, "app")
    assert [version.minor_version for version in first.versions] == [1]
    assert [parameter.type for parameter in first.versions[0].parameters] == ["String", "String"]
    await declare(templates())
    assert await declare.find(ROLE_TEMPLATES, A, "app") == first
    await declare(templates("other-@{app}"))
    second = await declare.find(ROLE_TEMPLATES, A, "app")
    assert [version.role_name for version in second.versions] == ["app-@{app}", "other-@{app}"]
    assert second.versions[0] == first.versions[0]


async def test_no_more_than_twenty_versions_are_kept(declare: Any) -> None:
    for number in range(22):
        await declare(templates(f"app{number}-@{{app}}"))
    kept = (await declare.find(ROLE_TEMPLATES, A, "app")).versions
    assert [version.minor_version for version in kept] == list(range(3, 23))


async def test_a_template_that_the_file_does_not_name_is_pruned(declare: Any) -> None:
    await declare(templates(more="enabled: false"))
    assert not (await declare.find(ROLE_TEMPLATES, A, "app")).is_enabled
    await declare(f'accounts: {{"{A}": {{}}}}')
    assert await declare.find(ROLE_TEMPLATES, A, "app") is not None
    await declare(f'accounts: {{"{A}": {{}}}}', prune=True)
    assert await declare.find(ROLE_TEMPLATES, A, "app") is None


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (templates(parameters="app: {}"), "there is no parameter account"),
        (templates("x-@{unknown}"), "there is no parameter unknown"),
        (templates(parameters="app: {type: Text}, account: {}"), "type is one of String, StringList"),
        (templates(more="inline_policies: {own: '{'}"), "this is no JSON"),
        (templates().replace("app:\n", '"a b":\n'), "a template's name has letters"),
    ],
)
async def test_a_template_of_which_no_role_could_be_made_is_refused(
    declare: Any, text: str, said: str
) -> None:
    with pytest.raises(DeclarationError, match=said):
        await declare(text)
