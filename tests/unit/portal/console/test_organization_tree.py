"""The path from the root of an organization to one place in it."""

from broker.portal.console.organization_tree import OrganizationNode, Tree

ROOT = OrganizationNode("r-1", "Root", "ROOT", 0)
TEAM = OrganizationNode("ou-1", "team", "ORGANIZATIONAL_UNIT", 1, "r-1")
ACCOUNT = OrganizationNode("1" * 12, "one", "ACCOUNT", 2, "ou-1")


def test_a_path_begins_at_the_root() -> None:
    tree = Tree((ROOT, TEAM, ACCOUNT))
    assert tree.path_to(ACCOUNT) == [ROOT, TEAM, ACCOUNT]
    assert tree.path_to(ROOT) == [ROOT]
    assert tree.find("ou-2") is None


def test_a_path_ends_where_more_is_not_shown() -> None:
    assert Tree((ACCOUNT,), has_more=True).path_to(ACCOUNT) == [ACCOUNT]
