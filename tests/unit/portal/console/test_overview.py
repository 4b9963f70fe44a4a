"""How much there is of everything."""

from broker.portal.console.overview import counts_of


def test_counts_have_their_quotas():
    (users,) = counts_of({"Users": 3, "UsersQuota": 5000, "MFADevices": 7})
    assert (users.kind, users.number, users.quota) == ("users", 3, 5000)
