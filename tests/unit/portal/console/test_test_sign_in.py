"""Claims as a test sign-in shows them."""

from broker.portal.console.test_sign_in import shown_claims


def test_a_text_is_shown_as_it_is_and_anything_else_as_json():
    claims = {"sub": '<b>"a"</b>', "groups": ["a", "ü"], "email_verified": True, "exp": 5, "amr": None}
    assert shown_claims(claims) == (
        ("sub", '<b>"a"</b>'),
        ("groups", '["a", "ü"]'),
        ("email_verified", "true"),
        ("exp", "5"),
        ("amr", "null"),
    )


def test_no_claim_floods_the_page():
    ((name, text),) = shown_claims({"x" * 5000: "y" * 5000})
    assert (len(name), len(text)) == (2000, 2000)
