from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from broker.storage.flush_groups import MOST_ACCOUNTS, MOST_ITEMS, groups_of

SIZES = st.lists(st.one_of(st.integers(1, 30), st.integers(1, 2500)), max_size=300)


@given(SIZES)
def test_each_account_is_in_one_group_and_a_group_ends_only_where_the_next_account_has_no_room(
    sizes: list[int],
) -> None:
    accounts = [(f"{number:012}", range(size)) for number, size in enumerate(sizes)]
    groups = list(groups_of(accounts))
    assert [account for group in groups for account in group] == accounts
    for group in groups:
        assert 1 <= len(group) <= MOST_ACCOUNTS
        assert len(group) == 1 or sum(len(items) for _, items in group) <= MOST_ITEMS
    for group, following in pairwise(groups):
        number = sum(len(items) for _, items in group)
        assert len(group) == MOST_ACCOUNTS or number + len(following[0][1]) > MOST_ITEMS
