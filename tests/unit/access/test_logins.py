"""What logins are kept, and which goes first."""

from broker.access.caller import root_caller
from broker.access.logins import Login, Logins
from broker.names.secret import SecretKey


def login(name):
    return Login(name, 1, root_caller("111122223333", name), SecretKey("a secret"))


def test_logins_are_bounded_and_the_least_recently_used_goes_first():
    logins = Logins(capacity=2)
    for name in ("one", "two", "one", "three"):
        logins.keep(login(name))
    assert len(logins) == 2
    assert logins.find("two") is None
    assert logins.find("one") == login("one")


def test_a_login_does_not_print_its_secret():
    assert "a secret" not in repr(login("one"))
