"""What logins are kept, and which goes first."""

from broker.access.caller import root_caller
from broker.access.logins import Login, Logins
from broker.names.secret import SecretKey


def login(name):
    return Login(name, 1, root_caller("111122223333", name), SecretKey("a secret"))


def test_logins_are_bounded_and_the_first_goes_first():
    logins = Logins(capacity=2)
    one, two, three = login("one"), login("two"), login("three")
    for kept in (one, two, login("one"), three):  # "one" was found out anew
        logins.keep(kept)
    assert len(logins) == 2
    assert logins.find("two") is None
    assert logins.find("one") == one
    logins.keep(three)
    assert len(logins) == 2


def test_a_login_does_not_print_its_secret():
    assert "a secret" not in repr(login("one"))
