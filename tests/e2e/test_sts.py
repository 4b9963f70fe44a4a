"""The seven operations of STS that need no identity provider, whole, as boto3 meets them."""

import json
import urllib.request
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any

import pytest

from tests.e2e.conftest import Account, Keys, Server
from tests.e2e.scenes import (
    Phone,
    allow,
    assume,
    deny,
    document,
    encoded,
    new_role,
    new_user,
    refused,
    sentence,
    trust,
)

LARGEST_TOKEN = 4096
LARGEST_ENCODED_MESSAGE = 10_240


def lifetime(credentials: dict[str, Any]) -> float:
    """Seconds from now until these credentials expire."""
    return float((credentials["Expiration"] - datetime.now(UTC)).total_seconds())


def assert_sizes(answer: dict[str, Any]) -> None:
    """The size answers speak the truth."""
    size = len(answer["Credentials"]["SessionToken"])
    assert answer["SessionTokenSize"] == size <= LARGEST_TOKEN
    assert answer["SessionTokenUtilization"] == -(-size * 100 // LARGEST_TOKEN)


@pytest.fixture
def worker(server: Server, account: Account) -> tuple[Any, str]:
    """The STS client of a user, and a role that it may assume with everything."""
    keys = new_user(server, account, "ursula", allow("sts:*"))
    trusts = trust(account.account_id, "sts:AssumeRole", "sts:TagSession", "sts:SetSourceIdentity")
    role = new_role(server, account, "worker", trusts, allow("*"), MaxSessionDuration=43_200, Path="/x/")
    return server.client("sts", keys), role


# AssumeRole


def test_assume_role_answers_everything_that_aws_answers(
    account: Account, root: Any, worker: tuple[Any, str]
) -> None:
    sts, role = worker
    answer = sts.assume_role(RoleArn=role, RoleSessionName="night.shift", DurationSeconds=900)
    role_id = root.get_role(RoleName="worker")["Role"]["RoleId"]
    assert answer["AssumedRoleUser"] == {
        "AssumedRoleId": f"{role_id}:night.shift",
        "Arn": f"arn:aws:sts::{account.account_id}:assumed-role/worker/night.shift",
    }
    credentials = answer["Credentials"]
    assert credentials["AccessKeyId"].startswith("ASIA") and len(credentials["AccessKeyId"]) == 20
    assert len(credentials["SecretAccessKey"]) == 40
    assert 880 < lifetime(credentials) <= 900
    assert "PackedPolicySize" not in answer and "SourceIdentity" not in answer
    assert_sizes(answer)


def test_a_role_session_lasts_an_hour_unless_asked_otherwise(worker: tuple[Any, str]) -> None:
    sts, role = worker
    request = {"RoleArn": role, "RoleSessionName": "session"}
    assert 3580 < lifetime(sts.assume_role(**request)["Credentials"]) <= 3600
    longest = sts.assume_role(**request, DurationSeconds=43_200)["Credentials"]
    assert 43_180 < lifetime(longest) <= 43_200


def test_a_token_is_padded_to_the_size_that_was_asked(worker: tuple[Any, str]) -> None:
    sts, role = worker
    for size in (0, 1, 1000, 4095, 4096):
        answer = sts.assume_role(RoleArn=role, RoleSessionName="session", MinimumSessionTokenSize=size)
        assert size <= answer["SessionTokenSize"] <= max(size + 3, 1000)
        assert_sizes(answer)
    refusal = refused(sts.assume_role, RoleArn=role, RoleSessionName="session", MinimumSessionTokenSize=4097)
    assert refusal[:2] == (400, "ValidationError")


def test_the_packed_size_grows_with_policies_and_tags(worker: tuple[Any, str]) -> None:
    sts, role = worker
    request = {"RoleArn": role, "RoleSessionName": "session"}
    small = sts.assume_role(**request, Tags=[{"Key": "team", "Value": "blue"}])
    policy = document(
        *(allow(f"s3:Get{number}", on=f"arn:aws:s3:::bucket{number}/*") for number in range(15))
    )
    large = sts.assume_role(
        **request,
        Policy=policy,
        PolicyArns=[{"arn": "arn:aws:iam::aws:policy/ReadOnlyAccess"}],
        Tags=[{"Key": "team", "Value": "blue"}],
    )
    assert 0 < small["PackedPolicySize"] < large["PackedPolicySize"] <= 100
    assert_sizes(large)


def test_policies_and_tags_that_do_not_fit_are_refused_with_their_size(worker: tuple[Any, str]) -> None:
    sts, role = worker
    # Nothing that could be packed tightly.
    noise = Random(1)
    tags = [{"Key": f"{noise.getrandbits(400):x}", "Value": f"{noise.getrandbits(800):x}"} for _ in range(48)]
    status, code, message = refused(sts.assume_role, RoleArn=role, RoleSessionName="session", Tags=tags)
    assert (status, code) == (400, "PackedPolicyTooLarge")
    assert message.startswith("Packed size of session tags consumes ") and "% of allotted space" in message


def test_a_session_policy_must_be_a_policy(worker: tuple[Any, str]) -> None:
    sts, role = worker
    request = {"RoleArn": role, "RoleSessionName": "session"}
    for broken in ("not json", "[]", document({"Effect": "Perhaps", "Action": "*", "Resource": "*"})):
        assert refused(sts.assume_role, **request, Policy=broken)[:2] == (400, "MalformedPolicyDocument")
    gone = [{"arn": "arn:aws:iam::aws:policy/DoesNotExist"}]
    assert refused(sts.assume_role, **request, PolicyArns=gone)[1] == "ValidationError"
    many = [{"arn": "arn:aws:iam::aws:policy/ReadOnlyAccess"}] * 11
    assert refused(sts.assume_role, **request, PolicyArns=many)[1] == "ValidationError"


def test_a_policy_that_is_too_long_is_refused_before_anybody_is_asked(worker: tuple[Any, str]) -> None:
    sts, role = worker
    long = document(allow("s3:GetObject", on="arn:aws:s3:::bucket/" + "x" * 2048))
    for arn in (role, f"{role}-that-is-not-there"):
        refusal = refused(sts.assume_role, RoleArn=arn, RoleSessionName="session", Policy=long)
        assert refusal[:2] == (400, "ValidationError")
        assert refusal[2].endswith(
            "at 'policy' failed to satisfy constraint: Member must have length less than or equal to 2048"
        )


def test_session_policies_of_both_kinds_are_one_limit(
    server: Server, root: Any, worker: tuple[Any, str]
) -> None:
    sts, role = worker
    policy = root.create_policy(PolicyName="roles", PolicyDocument=document(allow("iam:ListRoles")))
    session = Keys.of(
        sts.assume_role(
            RoleArn=role,
            RoleSessionName="session",
            Policy=document(allow("iam:ListUsers")),
            PolicyArns=[{"arn": policy["Policy"]["Arn"]}],
        )["Credentials"]
    )
    iam = server.client("iam", session)
    assert iam.list_users()["Users"] and iam.list_roles()["Roles"]
    assert refused(iam.list_groups)[1] == "AccessDenied"


def test_a_session_may_nothing_once_a_policy_that_limits_it_is_deleted(
    server: Server, root: Any, worker: tuple[Any, str]
) -> None:
    sts, role = worker
    limit = root.create_policy(PolicyName="limit", PolicyDocument=document(deny("iam:ListUsers")))
    arns = ["arn:aws:iam::aws:policy/AdministratorAccess", limit["Policy"]["Arn"]]
    answer = sts.assume_role(
        RoleArn=role, RoleSessionName="session", PolicyArns=[{"arn": arn} for arn in arns]
    )
    iam = server.client("iam", Keys.of(answer["Credentials"]))
    iam.list_roles()
    assert refused(iam.list_users)[1] == "AccessDenied"
    root.delete_policy(PolicyArn=arns[1])
    for call in (iam.list_users, iam.list_roles):
        _, code, message = refused(call)
        assert (code, message.partition(". ")[0].rpartition(" with ")[2]) == (
            "AccessDenied",
            f"an explicit deny in a session policy: {arns[1]}",
        )


def test_tags_and_source_identity_speak_in_the_sessions_policies(
    server: Server, root: Any, worker: tuple[Any, str]
) -> None:
    sts, role = worker
    root.tag_role(RoleName="worker", Tags=[{"Key": "Team", "Value": "red"}, {"Key": "Floor", "Value": "3"}])
    speaks = {
        "StringEquals": {
            "aws:PrincipalTag/team": "blue",
            "aws:PrincipalTag/Floor": "3",
            "aws:SourceIdentity": "ursula",
        }
    }
    answer = sts.assume_role(
        RoleArn=role,
        RoleSessionName="session",
        SourceIdentity="ursula",
        Tags=[{"Key": "team", "Value": "blue"}],
        Policy=document(allow("iam:ListRoles", Condition=speaks)),
    )
    assert answer["SourceIdentity"] == "ursula"
    assert server.client("iam", Keys.of(answer["Credentials"])).list_roles()["Roles"]
    bare = sts.assume_role(
        RoleArn=role,
        RoleSessionName="session",
        Policy=document(allow("iam:ListRoles", Condition=speaks)),
    )
    assert refused(server.client("iam", Keys.of(bare["Credentials"])).list_roles)[1] == "AccessDenied"


# GetCallerIdentity


def test_caller_identity_needs_no_permission_and_cannot_be_denied(server: Server, account: Account) -> None:
    keys = new_user(server, account, "nobody", deny("*"))
    role = new_role(
        server, account, "muted", trust(f"arn:aws:iam::{account.account_id}:user/nobody"), deny("*")
    )
    assert server.client("sts", keys).get_caller_identity()["Arn"].endswith(":user/nobody")
    assert refused(server.client("sts", keys).assume_role, RoleArn=role, RoleSessionName="session")[1] == (
        "AccessDenied"
    )
    speaker = new_user(server, account, "speaker", allow("sts:*"))
    muted = new_role(server, account, "silent", trust(account.account_id), deny("*"))
    session = assume(server, speaker, muted, Policy=document(deny("*")))
    identity = server.client("sts", session).get_caller_identity()
    assert identity["Arn"] == f"arn:aws:sts::{account.account_id}:assumed-role/silent/session"
    assert identity["Account"] == account.account_id


def test_a_presigned_url_proves_a_login(server: Server, worker: tuple[Any, str], account: Account) -> None:
    """What Vault and aws-iam-authenticator do: the verifier has the URL and nothing else."""
    sts, role = worker
    session = Keys.of(sts.assume_role(RoleArn=role, RoleSessionName="login")["Credentials"])
    client = server.client("sts", session)
    url = client.generate_presigned_url("get_caller_identity", HttpMethod="GET", ExpiresIn=60)
    with urllib.request.urlopen(url, timeout=10) as answer:
        assert (
            f"<Arn>arn:aws:sts::{account.account_id}:assumed-role/worker/login</Arn>"
            in answer.read().decode()
        )


# GetSessionToken, GetFederationToken


def test_a_session_token_is_the_user_again(server: Server, account: Account) -> None:
    keys = new_user(server, account, "kim")
    answer = server.client("sts", keys).get_session_token()
    assert 43_180 < lifetime(answer["Credentials"]) <= 43_200
    assert_sizes(answer)
    again = server.client("sts", Keys.of(answer["Credentials"])).get_caller_identity()
    assert again["Arn"] == f"arn:aws:iam::{account.account_id}:user/kim"
    longest = server.client("sts", keys).get_session_token(
        DurationSeconds=129_600, MinimumSessionTokenSize=2000
    )
    assert 129_580 < lifetime(longest["Credentials"]) <= 129_600
    assert longest["SessionTokenSize"] >= 2000


def test_a_session_token_of_root_is_cut_to_an_hour_without_a_word(server: Server, account: Account) -> None:
    answer = server.client("sts", account.root).get_session_token(DurationSeconds=129_600)
    assert 3580 < lifetime(answer["Credentials"]) <= 3600
    again = server.client("sts", Keys.of(answer["Credentials"])).get_caller_identity()
    assert again["Arn"] == f"arn:aws:iam::{account.account_id}:root"


def test_a_session_token_with_mfa_says_so_to_policies(server: Server, account: Account, root: Any) -> None:
    recent = {
        "Bool": {"aws:MultiFactorAuthPresent": "true"},
        "NumericLessThan": {"aws:MultiFactorAuthAge": "300"},
    }
    keys = new_user(server, account, "mia", allow("sts:*"), allow("iam:ListUsers", Condition=recent))
    phone = Phone(root, "mia")
    assert refused(server.client("iam", keys).list_users)[1] == "AccessDenied"
    answer = server.client("sts", keys).get_session_token(**phone.asked(phone.code(1)))
    assert server.client("iam", Keys.of(answer["Credentials"])).list_users()["Users"]


def test_a_federation_token_answers_everything_that_aws_answers(server: Server, account: Account) -> None:
    keys = new_user(server, account, "kim", allow("sts:*"))
    answer = server.client("sts", keys).get_federation_token(
        Name="guest", Policy=document(allow("s3:GetObject")), Tags=[{"Key": "team", "Value": "blue"}]
    )
    assert answer["FederatedUser"] == {
        "FederatedUserId": f"{account.account_id}:guest",
        "Arn": f"arn:aws:sts::{account.account_id}:federated-user/guest",
    }
    assert 43_180 < lifetime(answer["Credentials"]) <= 43_200
    assert 0 < answer["PackedPolicySize"] < 100
    assert_sizes(answer)
    identity = server.client("sts", Keys.of(answer["Credentials"])).get_caller_identity()
    assert identity["UserId"] == f"{account.account_id}:guest"


def test_a_federation_token_needs_permission_for_its_name_and_its_tags(
    server: Server, account: Account
) -> None:
    guests = f"arn:aws:sts::{account.account_id}:federated-user/guest-*"
    keys = new_user(server, account, "kim", allow("sts:GetFederationToken", on=guests))
    sts = server.client("sts", keys)
    assert sts.get_federation_token(Name="guest-1")["Credentials"]
    assert refused(sts.get_federation_token, Name="other")[1] == "AccessDenied"
    tagged = refused(sts.get_federation_token, Name="guest-1", Tags=[{"Key": "team", "Value": "blue"}])
    assert "sts:TagSession" in tagged[2]
    assert refused(sts.get_federation_token, Name="guest 1!")[1] == "ValidationError"


def test_a_federation_token_of_root_lasts_an_hour(server: Server, account: Account) -> None:
    answer = server.client("sts", account.root).get_federation_token(Name="guest")
    assert 3580 < lifetime(answer["Credentials"]) <= 3600


# GetAccessKeyInfo


def test_access_key_info_tells_the_account_of_any_key(
    server: Server, account: Account, worker: tuple[Any, str]
) -> None:
    sts, role = worker
    session = sts.assume_role(RoleArn=role, RoleSessionName="session")["Credentials"]
    elsewhere = server.new_account()
    for key_id, owner in (
        (account.root.access_key_id, account),
        (session["AccessKeyId"], account),
        (elsewhere.root.access_key_id, elsewhere),
    ):
        assert sts.get_access_key_info(AccessKeyId=key_id)["Account"] == owner.account_id


def test_access_key_info_needs_permission_and_a_key(server: Server, account: Account, root: Any) -> None:
    keys = new_user(server, account, "kim")
    assert refused(server.client("sts", keys).get_access_key_info, AccessKeyId="AKIA" + "A" * 16)[1] == (
        "AccessDenied"
    )
    sts = server.client("sts", account.root)
    user_id = root.get_user(UserName="kim")["User"]["UserId"]
    for no_key in ("AKIA" + "1" * 16, "XXXX" + keys.access_key_id[4:], user_id, user_id[:20]):
        assert refused(sts.get_access_key_info, AccessKeyId=no_key) == (
            400,
            "ValidationError",
            "Invalid access key ID format or type.",
        )


def test_a_root_key_brought_along_is_known_to_access_key_info(server: Server) -> None:
    """An id of the operator's choosing carries no account: it is on record."""
    account, secret = "210987654321", "a-secret-of-the-operators-own-choosing"
    started = Server(
        server.folder / "foreign",
        f"sqlite:{server.folder / 'foreign.db'}",
        environment={
            "BROKER_ROOT_ACCOUNT_ID": account,
            "BROKER_ROOT_ACCESS_KEY_ID": "bootstrapAdmin01",
            "BROKER_ROOT_SECRET_ACCESS_KEY": secret,
        },
    )
    started.folder.mkdir(exist_ok=True)
    started.start()
    try:
        sts = started.client("sts", Keys("bootstrapAdmin01", secret))
        assert sts.get_caller_identity()["Arn"] == f"arn:aws:iam::{account}:root"
        assert sts.get_access_key_info(AccessKeyId="bootstrapAdmin01")["Account"] == account
    finally:
        assert started.stop() == 0, started.log


# DecodeAuthorizationMessage


def test_a_denial_opens_for_those_who_may_read_it_in_its_own_account(
    server: Server, account: Account
) -> None:
    poor = new_user(server, account, "poor", allow("iam:ListUsers"), deny("iam:ListRoles", Sid="NoRoles"))
    message = refused(server.client("iam", poor).list_roles)[2]
    assert len(encoded(message)) <= LARGEST_ENCODED_MESSAGE
    reader = server.client(
        "sts", new_user(server, account, "reader", allow("sts:DecodeAuthorizationMessage"))
    )
    opened = json.loads(
        reader.decode_authorization_message(EncodedMessage=encoded(message))["DecodedMessage"]
    )
    assert (opened["allowed"], opened["explicitDeny"]) == (False, True)
    (statement,) = opened["matchedStatements"]["items"]
    assert (statement["statementId"], statement["effect"]) == ("NoRoles", "DENY")
    context = opened["context"]
    assert context["action"] == "iam:ListRoles"
    assert context["principal"]["arn"] == f"arn:aws:iam::{account.account_id}:user/poor"
    assert context["principal"]["name"] == "poor"
    assert statement["principals"]["items"] == [{"value": context["principal"]["id"]}]
    assert {"key": "aws:username", "values": {"items": [{"value": "poor"}]}} in context["conditions"]["items"]

    refusal = refused(
        server.client("sts", poor).decode_authorization_message, EncodedMessage=encoded(message)
    )
    assert refusal[:2] == (403, "AccessDenied")
    stranger = server.client("sts", server.new_account().root)
    invalid = (400, "InvalidAuthorizationMessageException", "Message is not valid")
    assert refused(stranger.decode_authorization_message, EncodedMessage=encoded(message)) == invalid
    whole = encoded(message)
    altered = whole[:40] + ("B" if whole[40] == "A" else "A") + whole[41:]
    for broken in ("x", whole[:-4], altered):
        assert refused(reader.decode_authorization_message, EncodedMessage=broken) == invalid


def test_the_longest_context_still_makes_a_message_that_opens(server: Server, account: Account) -> None:
    keys = new_user(server, account, "ursula", allow("sts:DecodeAuthorizationMessage"))
    role = new_role(server, account, "worker", trust(account.account_id))
    tags = [
        {
            "Key": chr(0x4E00 + number) * 128,
            "Value": "".join(chr(0x4E00 + (number * 769 + n * 31) % 20_000) for n in range(256)),
        }
        for number in range(50)
    ]
    sts = server.client("sts", keys)
    message = refused(sts.assume_role, RoleArn=role, RoleSessionName="session", Tags=tags)[2]
    assert sentence(message).endswith("because no identity-based policy allows the sts:AssumeRole action")
    assert 0 < len(encoded(message)) <= LARGEST_ENCODED_MESSAGE
    opened = json.loads(sts.decode_authorization_message(EncodedMessage=encoded(message))["DecodedMessage"])
    assert opened["context"]["resource"] == role
    shown = {condition["key"] for condition in opened["context"]["conditions"]["items"]}
    assert "aws:PrincipalArn" in shown and not any(key.startswith("aws:RequestTag/") for key in shown)


def test_a_denial_tells_nothing_of_the_other_accounts_policies_and_tags(
    server: Server, account: Account
) -> None:
    elsewhere = server.new_account()
    keys = new_user(server, account, "ursula", allow("sts:*"))
    denies = {**trust(account.account_id), "Effect": "Deny", "Sid": "Secret"}
    role = new_role(server, elsewhere, "closed", denies, Tags=[{"Key": "plan", "Value": "merger"}])
    sts = server.client("sts", keys)
    message = refused(sts.assume_role, RoleArn=role, RoleSessionName="session")[2]
    opened = sts.decode_authorization_message(EncodedMessage=encoded(message))["DecodedMessage"]
    assert json.loads(opened)["matchedStatements"]["items"] == []
    assert "merger" not in opened and "Secret" not in opened and '"explicitDeny":false' in opened


def test_the_time_is_right(worker: tuple[Any, str]) -> None:
    sts, role = worker
    expires = sts.assume_role(RoleArn=role, RoleSessionName="session")["Credentials"]["Expiration"]
    assert expires.utcoffset() == timedelta(0)
