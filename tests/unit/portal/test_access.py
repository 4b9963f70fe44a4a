"""Which roles a search leaves, and how they stand together."""

from broker.own_roles import OwnRole
from broker.portal.access import by_account, matching_roles
from broker.storage.records import Account, Role

DATA = Account(account_id="222222222222", name="data", alias="data-prod")
WORK = Account(account_id="111111111111", name="workloads")


def role(account: Account, name: str, description: str | None = None) -> OwnRole:
    record = Role(
        account_id=account.account_id,
        role_name=name,
        role_id=f"AROA{name}",
        path="/team/",
        created_at=1,
        assume_role_policy="{}",
        description=description,
    )
    return OwnRole(account, record)


ROLES = (role(DATA, "Analyst", "Reads"), role(DATA, "steward"), role(WORK, "analyst"))


def names(search: str) -> list[str]:
    return [one.path for one in matching_roles(ROLES, search)]


def test_every_word_has_to_stand_in_a_name_whatever_its_case() -> None:
    assert names("") == names("  ") == [one.path for one in ROLES]
    assert names("ANALYST") == ["222222222222/team/Analyst", "111111111111/team/analyst"]
    assert names("data analyst") == ["222222222222/team/Analyst"]
    assert names("analyst reads") == ["222222222222/team/Analyst"]
    assert names("data-prod stew") == ["222222222222/team/steward"]
    assert names("1111") == ["111111111111/team/analyst"]
    assert names("nothing") == []


def test_roles_of_one_account_stand_together() -> None:
    assert [(one.account.name, len(one.roles)) for one in by_account(ROLES)] == [
        ("data", 2),
        ("workloads", 1),
    ]
