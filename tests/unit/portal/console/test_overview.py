"""What of an account needs attention."""

from broker.errors import Refusal
from broker.portal.console.overview import counts_of, findings_in

NO_POLICY = Refusal("NoSuchEntity", "The Password Policy with domain name 1 cannot be found.")


def test_what_is_most_severe_comes_first():
    summary = {"AccountAccessKeysPresent": 1, "AccountPasswordPresent": 1, "AccountMFAEnabled": 0}
    found = findings_in(summary, NO_POLICY)
    assert found == ["root_keys", "root_without_second_factor", "no_password_policy"]


def test_root_without_a_password_needs_no_second_factor():
    assert findings_in({"AccountPasswordPresent": 0, "AccountMFAEnabled": 0}, object()) == []


def test_a_password_policy_that_may_not_be_seen_is_not_taken_for_a_missing_one():
    assert findings_in({}, Refusal("AccessDenied", "no")) == []


def test_counts_have_their_quotas():
    (users,) = counts_of({"Users": 3, "UsersQuota": 5000, "MFADevices": 7})
    assert (users.kind, users.number, users.quota) == ("users", 3, 5000)
