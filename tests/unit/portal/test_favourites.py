"""Which roles come first."""

from broker.portal.favourites import MOST_FAVOURITES, changed_favourites, parted_by_favourites
from tests.unit.portal.test_access import DATA, WORK, role

READER, WRITER = "arn:aws:iam::111111111111:role/reader", "arn:aws:iam::111111111111:role/writer"


def test_a_role_is_a_favourite_once_and_the_last_chosen_is_last():
    chosen = changed_favourites((READER, WRITER), READER, is_added=True)
    assert chosen == (WRITER, READER)
    assert changed_favourites(chosen, WRITER, is_added=False) == (READER,)
    assert changed_favourites(chosen, "arn:other", is_added=False) == chosen


def test_of_too_many_the_first_chosen_goes():
    many = tuple(f"arn:{number}" for number in range(MOST_FAVOURITES))
    chosen = changed_favourites(many, READER, is_added=True)
    assert len(chosen) == MOST_FAVOURITES
    assert chosen[-1] == READER
    assert many[0] not in chosen


def test_favourites_come_first_in_the_order_of_names_and_only_those_that_may_be_taken():
    roles = (role(DATA, "analyst"), role(DATA, "steward"), role(WORK, "analyst"))
    first, others = parted_by_favourites(
        roles, (roles[2].role.arn, "arn:aws:iam::1:role/gone", roles[0].role.arn)
    )
    assert first == (roles[0], roles[2])
    assert others == (roles[1],)
