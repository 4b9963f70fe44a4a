"""ARNs of roles: which are taken for one, and which role bears them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from broker.access.assumable import account_of_role
from broker.errors import Refusal
from broker.names.arn import is_account_id, parse_arn
from broker.protocol.shapes.sts import AssumeRoleRequest
from broker.storage.store import ROLES
from tests.unit.sts.conftest import ACCOUNT, role, user, user_caller

PIECES = [
    "arn",
    "aws",
    "aws-cn",
    "iam",
    ":",
    ":",
    ":",
    ":",
    ACCOUNT,
    "\u0661" * 12,
    "role",
    "/",
    "/p/",
    "a",
    "\n",
    "",
]
WRITTEN = st.builds(
    "{}:{}:iam:{}:{}:role/{}{}".format,
    st.sampled_from(["arn", "ARN"]),
    st.sampled_from(["aws", "aws-cn", ""]),
    st.sampled_from(["", "", "us-east-1"]),
    st.sampled_from([ACCOUNT, ACCOUNT, ACCOUNT[1:], "\u0661" * 12]),
    st.sampled_from(["", "p/", "p/q/", "/", "\n/"]),
    st.sampled_from(["a", "a:b", ""]),
)
TEXTS = WRITTEN | st.lists(st.sampled_from(PIECES), max_size=12).map("".join)


@given(text=TEXTS)
def test_an_arn_of_a_role_names_its_account_and_no_other_text_does(text: str) -> None:
    try:
        arn = parse_arn(text)
        is_role = arn.service == "iam" and is_account_id(arn.account) and arn.resource.startswith("role/")
    except ValueError:
        is_role = False
    if is_role:
        assert account_of_role(text) == arn.account
        return
    with pytest.raises(Refusal) as refused:
        account_of_role(text)
    assert (refused.value.code, refused.value.message) == ("ValidationError", f"{text} is invalid")


TRUST = '{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"sts:AssumeRole","Principal":{"AWS":"*"}}}'


@pytest.mark.parametrize(
    ("arn", "is_assumed"),
    [
        ("arn:aws:iam::{}:role/ops/worker", True),
        ("arn:aws:iam::{}:role/worker", False),
        ("arn:aws:iam::{}:role/ops/Worker", False),
        ("arn:aws:iam::{}:role/OPS/worker", False),
        ("arn:aws-cn:iam::{}:role/ops/worker", False),
        ("arn:aws:iam:us-east-1:{}:role/ops/worker", False),
    ],
)
async def test_only_the_arn_that_names_the_role_letter_by_letter_finds_it(sts, arn, is_assumed) -> None:
    await sts.put(ROLES, role("worker", TRUST, path="/ops/"))
    request = AssumeRoleRequest(role_arn=arn.format(ACCOUNT), role_session_name="session")
    if is_assumed:
        answer = await sts(request, user_caller(user()))
        assert answer.assumed_role_user.arn == f"arn:aws:sts::{ACCOUNT}:assumed-role/worker/session"
    else:
        assert (await sts.refused(request, user_caller(user())))[0] == "AccessDenied"
