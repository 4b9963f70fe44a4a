"""What differs between two versions of a policy."""

from broker.portal.console.policy import differences


def test_each_line_says_in_which_of_both_texts_it_is():
    lines = list(differences("{\n a\n}", "{\n b\n}"))
    assert [(line.mark, line.text) for line in lines] == [(" ", "{"), ("-", " a"), ("+", " b"), (" ", "}")]
