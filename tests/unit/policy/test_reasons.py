import json
from typing import Any

import pytest

from broker.names.principal import AssumedRole, IamUser, Principal, Root
from broker.policy import (
    NO_POLICIES,
    AccessRequest,
    Context,
    Decision,
    Layer,
    Layers,
    Outcome,
    PolicyKind,
    PolicySet,
    Source,
    SourceKind,
    access_denied_message,
    authorization_message,
    compile_policies,
    decide,
    denial_sentences,
    parse_policy,
)
from tests.growth import called, growth

BOB = IamUser("111122223333", "bob", "AIDAEXAMPLE1234567890")
BUCKET = "arn:aws:s3:::reports"
INLINE = Source(SourceKind.USER, "policy", BOB.arn)
SENTENCE = f"User: {BOB.arn} is not authorized to perform: s3:ListBucket on resource: {BUCKET}"


def policies(
    effect: str, kind: PolicyKind = PolicyKind.IDENTITY, source: Source = INLINE, **elements: object
) -> PolicySet:
    statement: dict[str, object] = {
        "Sid": "It",
        "Effect": effect,
        "Action": "s3:*",
        "Resource": "*",
        **elements,
    }
    if kind in (PolicyKind.RESOURCE, PolicyKind.RCP, PolicyKind.ENDPOINT):
        statement["Principal"] = "*"
    text = json.dumps({"Version": "2012-10-17", "Statement": statement})
    return compile_policies([(source, parse_policy(text, kind))])


def asked(
    layers: Layers, account: str = "111122223333", principal: Principal = BOB, **context: str
) -> Decision:
    return decide(AccessRequest(principal, "s3:ListBucket", BUCKET, account, Context(context)), layers)


def sentence(decision: Decision) -> str:
    return access_denied_message(decision.request, decision)


ALLOW, OTHER = policies("Allow"), policies("Allow", Action="ec2:*")
DENY_FOR_ALL = policies("Deny", PolicyKind.RESOURCE)


@pytest.mark.parametrize(
    ("layers", "layer", "reason"),
    [
        (Layers(OTHER), Layer.IDENTITY, " because no identity-based policy allows the s3:ListBucket action"),
        (
            Layers(ALLOW, boundary=OTHER),
            Layer.BOUNDARY,
            " because no permissions boundary allows the s3:ListBucket action",
        ),
        (
            Layers(ALLOW, session=OTHER),
            Layer.SESSION,
            " because no session policy allows the s3:ListBucket action",
        ),
        (
            Layers(ALLOW, scps=(ALLOW, OTHER)),
            Layer.SCP,
            " because no service control policy allows the s3:ListBucket action",
        ),
        (
            Layers(ALLOW, endpoint=NO_POLICIES),
            Layer.ENDPOINT,
            " because no VPC endpoint policy allows the s3:ListBucket action",
        ),
        (Layers(policies("Deny")), Layer.IDENTITY, " with an explicit deny in an identity-based policy"),
        (
            Layers(ALLOW, boundary=policies("Deny")),
            Layer.BOUNDARY,
            " with an explicit deny in a permissions boundary",
        ),
        (
            Layers(ALLOW, session=policies("Deny")),
            Layer.SESSION,
            " with an explicit deny in a session policy",
        ),
        (
            Layers(ALLOW, scps=(policies("Deny"),)),
            Layer.SCP,
            " with an explicit deny in a service control policy",
        ),
        (
            Layers(ALLOW, resource=DENY_FOR_ALL),
            Layer.RESOURCE,
            " with an explicit deny in a resource-based policy",
        ),
        (
            Layers(ALLOW, rcps=(DENY_FOR_ALL,)),
            Layer.RCP,
            " with an explicit deny in a resource control policy",
        ),
        (
            Layers(ALLOW, endpoint=DENY_FOR_ALL),
            Layer.ENDPOINT,
            " with an explicit deny in a VPC endpoint policy",
        ),
    ],
)
def test_a_denial_names_the_kind_of_policy_in_awss_sentence(
    layers: Layers, layer: Layer, reason: str
) -> None:
    decision = asked(layers)
    assert decision.layer is layer
    assert sentence(decision) == SENTENCE + reason


def test_across_accounts_nothing_is_told_of_the_owners_policies() -> None:
    implicit = asked(Layers(ALLOW), account="444455556666")
    explicit = asked(Layers(ALLOW, resource=DENY_FOR_ALL), account="444455556666")
    assert (implicit.layer, explicit.layer) == (Layer.RESOURCE, Layer.RESOURCE)
    assert sentence(implicit) == sentence(explicit) == SENTENCE


def test_across_accounts_the_callers_own_policies_are_named() -> None:
    decision = asked(Layers(OTHER, resource=policies("Allow", PolicyKind.RESOURCE)), account="444455556666")
    assert sentence(decision).endswith("because no identity-based policy allows the s3:ListBucket action")


def managed(name: str, **elements: object) -> PolicySet:
    source = Source(SourceKind.USER_MANAGED, name, f"arn:aws:iam::111122223333:policy/team/{name}")
    return policies("Deny", source=source, **elements)


ENDING = ": arn:aws:iam::111122223333:policy/team/No"


@pytest.mark.parametrize(
    ("layers", "reason"),
    [
        (Layers(managed("No")), "an identity-based policy"),
        (Layers(ALLOW, boundary=managed("No")), "a permissions boundary"),
        (Layers(ALLOW, session=managed("No")), "a session policy"),
    ],
)
def test_an_explicit_deny_ends_with_the_arn_of_the_managed_policy(layers: Layers, reason: str) -> None:
    assert sentence(asked(layers)) == f"{SENTENCE} with an explicit deny in {reason}{ENDING}"


def test_an_organizations_policy_is_named_where_it_has_an_arn() -> None:
    arn = "arn:aws:organizations::111122223333:policy/o-a1/service_control_policy/p-1"
    named = policies("Deny", source=Source(SourceKind.SCP, "NoLists", arn))
    assert sentence(asked(Layers(ALLOW, scps=(named,)))).endswith(f"a service control policy: {arn}")
    ours = policies("Deny", source=Source(SourceKind.SCP, "NoLists", "ou-workloads"))
    assert sentence(asked(Layers(ALLOW, scps=(ours,)))).endswith("a service control policy")


def test_of_several_policies_that_deny_the_first_with_an_arn_is_named() -> None:
    both = PolicySet.union(policies("Deny"), managed("No"), managed("Never"))
    assert sentence(asked(Layers(both))).endswith(f"identity-based policy{ENDING}")


def test_only_a_policy_that_denies_in_the_layer_that_stops_the_request_is_named() -> None:
    allows = Source(SourceKind.USER_MANAGED, "Yes", "arn:aws:iam::111122223333:policy/Yes")
    mixed = PolicySet.union(
        policies("Allow", source=allows), managed("Other", Action="ec2:*"), policies("Deny")
    )
    assert sentence(asked(Layers(mixed, boundary=managed("No")))).endswith("an identity-based policy")


def test_across_accounts_a_policys_arn_is_told_within_an_organization_only() -> None:
    def ending(**organizations: str) -> str:
        keys = {f"aws:{side}OrgID": name for side, name in organizations.items()}
        message = sentence(asked(Layers(managed("No")), account="444455556666", **keys))
        return message.removeprefix(f"{SENTENCE} with an explicit deny in an identity-based policy")

    assert ending(Principal="o-a1", Resource="o-a1") == ENDING
    assert ending() == ending(Principal="o-a1") == ending(Principal="o-a1", Resource="o-b2") == ""


def test_a_role_that_does_not_trust_is_a_role_trust_policy() -> None:
    role = "arn:aws:iam::111122223333:role/rob"

    def message(policy: PolicySet, account: str = "111122223333") -> str:
        layers = Layers(policies("Allow", Action="sts:*"), resource=policy)
        request = AccessRequest(BOB, "sts:AssumeRole", role, account, Context({}))
        return sentence(decide(request, layers)).removeprefix(
            f"User: {BOB.arn} is not authorized to perform: "
        )

    asked_for = f"sts:AssumeRole on resource: {role}"
    denies = policies("Deny", PolicyKind.RESOURCE, Action="sts:*")
    assert (
        message(NO_POLICIES) == f"{asked_for} because no role trust policy allows the sts:AssumeRole action"
    )
    assert message(denies) == f"{asked_for} with an explicit deny in the role trust policy"
    assert message(NO_POLICIES, "444455556666") == message(denies, "444455556666") == asked_for


def test_the_operator_reads_the_arn_where_the_caller_reads_a_noun() -> None:
    role = "arn:aws:iam::111122223333:role/team/rob"
    decision = decide(AccessRequest(BOB, "iam:GetRole", role, BOB.account, Context({})), Layers(NO_POLICIES))
    message, exact = denial_sentences(decision.request, decision)
    assert "perform: iam:GetRole on resource: role rob because no identity-based policy" in message
    assert exact == message.replace("role rob", role)
    assert authorization_message(decision)["context"]["resource"] == role


def test_an_action_without_resources_is_told_without_one() -> None:
    decision = decide(
        AccessRequest(BOB, "sts:GetAccessKeyInfo", "*", BOB.account, Context({})), Layers(NO_POLICIES)
    )
    assert sentence(decision) == (
        f"User: {BOB.arn} is not authorized to perform: sts:GetAccessKeyInfo "
        "because no identity-based policy allows the sts:GetAccessKeyInfo action"
    )


def test_an_allowed_request_has_no_sentence() -> None:
    with pytest.raises(ValueError, match="allowed"):
        sentence(asked(Layers(ALLOW)))


def test_a_near_miss_says_the_key_what_it_was_and_what_was_wanted() -> None:
    wanted = policies("Allow", Condition={"StringEquals": {"aws:PrincipalTag/team": ["red"]}})
    (miss,) = asked(Layers(wanted), **{"aws:PrincipalTag/team": "blue"}).explain().near_misses
    assert (miss.operator, miss.key, miss.actual, miss.expected) == (
        "StringEquals",
        "aws:PrincipalTag/team",
        ("blue",),
        ("red",),
    )


def test_missing_keys_are_named_as_the_policy_spells_them() -> None:
    wanted = policies(
        "Allow",
        Resource="arn:aws:s3:::rep*",
        Condition={"StringEquals": {"aws:PrincipalTag/Team": "${aws:SourceIdentity}"}},
    )
    explanation = asked(Layers(wanted)).explain()
    assert explanation.missing_keys == ("aws:PrincipalTag/Team", "aws:SourceIdentity")
    assert explanation.near_misses[0].actual is None


def test_every_layer_gives_its_own_account() -> None:
    accounts = asked(Layers(ALLOW, boundary=OTHER, scps=(ALLOW,))).explain().layers
    assert [(account.layer, account.outcome) for account in accounts] == [
        (Layer.SCP, Outcome.ALLOWED),
        (Layer.IDENTITY, Outcome.ALLOWED),
        (Layer.BOUNDARY, Outcome.IMPLICITLY_DENIED),
    ]


def test_the_encoded_message_has_awss_members() -> None:
    decision = asked(Layers(policies("Deny")), **{"aws:SourceIp": "192.0.2.1"})
    message = authorization_message(decision)
    assert message["allowed"] is False
    assert message["explicitDeny"] is True
    (statement,) = message["matchedStatements"]["items"]
    assert (statement["statementId"], statement["effect"]) == ("It", "DENY")
    assert statement["actions"] == {"items": [{"value": "s3:*"}]}
    assert message["failures"] == {"items": []}
    assert message["context"] == {
        "principal": {"id": BOB.unique_id, "name": "bob", "arn": BOB.arn},
        "action": "s3:ListBucket",
        "resource": BUCKET,
        "conditions": {"items": [{"key": "aws:sourceip", "values": {"items": [{"value": "192.0.2.1"}]}}]},
    }


def statements(decision: Decision) -> list[dict[str, Any]]:
    shown: list[dict[str, Any]] = authorization_message(decision)["matchedStatements"]["items"]
    return shown


def values(*texts: str) -> dict[str, list[dict[str, str]]]:
    return {"items": [{"value": text} for text in texts]}


def test_a_statement_has_awss_members_and_no_others() -> None:
    elements = {"Sid": "MustHaveMFA", "NotAction": ["iam:ListUsers", "iam:EnableMFADevice"], "Resource": "*"}
    condition = {"BoolIfExists": {"aws:MultiFactorAuthPresent": "false"}}
    denies = json.dumps(
        {"Version": "2012-10-17", "Statement": {"Effect": "Deny", "Condition": condition, **elements}}
    )
    compiled = compile_policies([(INLINE, parse_policy(denies, PolicyKind.IDENTITY))])
    assert statements(asked(Layers(compiled))) == [
        {
            "statementId": "MustHaveMFA",
            "effect": "DENY",
            "principals": values(BOB.unique_id),
            "principalGroups": values(),
            "actions": values("iam:ListUsers", "iam:EnableMFADevice"),
            "resources": values("*"),
            "conditions": {"items": [{"key": "aws:MultiFactorAuthPresent", "values": values("false")}]},
        }
    ]


WORKER = AssumedRole("111122223333", "worker", "AROAEXAMPLE", "i-1")


@pytest.mark.parametrize(
    ("layers", "principal", "named"),
    [
        (Layers(policies("Deny")), BOB, BOB.unique_id),
        (Layers(policies("Deny")), WORKER, "AROAEXAMPLE"),
        (Layers(ALLOW, scps=(policies("Deny"),)), WORKER, "AROAEXAMPLE:i-1"),
        (Layers(ALLOW, boundary=policies("Deny")), BOB, "SCOPE_POLICY_ISSUER"),
        (Layers(ALLOW, resource=DENY_FOR_ALL), BOB, "*"),
    ],
)
def test_a_statement_says_whom_it_is_about(layers: Layers, principal: Principal, named: str) -> None:
    (statement,) = statements(asked(layers, principal=principal))
    assert statement["principals"] == values(named)


def test_only_a_user_has_a_name() -> None:
    for principal, names in ((BOB, ["id", "name", "arn"]), (WORKER, ["id", "arn"])):
        message = authorization_message(asked(Layers(NO_POLICIES), principal=principal))
        assert list(message["context"]["principal"]) == names


def test_condition_keys_are_spelled_as_they_are_said_to_be() -> None:
    decision = asked(Layers(NO_POLICIES), **{"aws:SourceIp": "192.0.2.1", "aws:Other": "x"})
    message = authorization_message(decision, {"aws:sourceip": "aws:SourceIp"})
    assert [condition["key"] for condition in message["context"]["conditions"]["items"]] == [
        "aws:other",
        "aws:SourceIp",
    ]


def test_root_is_stopped_by_organization_policies_and_by_nothing_else() -> None:
    root = Root("111122223333")
    assert asked(Layers(NO_POLICIES), principal=root).allowed
    assert asked(Layers(NO_POLICIES, scps=(OTHER,)), principal=root).layer is Layer.SCP


def test_a_denial_of_many_conditions_is_explained_in_linear_time() -> None:
    """Each condition asked all texts of its statement whether there is a variable: a simulation took minutes."""

    def explaining(size: int):
        keys = {f"aws:key{number}": "x" for number in range(size)}
        decision = asked(Layers(policies("Allow", Condition={"StringEquals": keys})))
        return decision.explain

    assert growth(explaining, 400) < 9


def test_an_implicit_denial_needs_no_explanation_to_say_that_nothing_decided() -> None:
    decision = asked(Layers(OTHER))
    assert "explain" not in called(lambda: decision.deciding)
    assert decision.deciding == ()
