"""Which service principals new policies may name: a false refusal is worse than accepting a name of no service."""

import pytest

from broker.policy.service_principals import _known, find_misspelt, service_fault


@pytest.mark.parametrize(
    "name",
    [
        "ec2.amazonaws.com",
        "ecs-tasks.amazonaws.com",
        "edgelambda.amazonaws.com",
        "opsworks-cm.amazonaws.com",
        "pods.eks.amazonaws.com",
        "delivery.logs.amazonaws.com",
        "ecs.application-autoscaling.amazonaws.com",
        "member.org.stacksets.cloudformation.amazonaws.com",
        "logs.eu-west-1.amazonaws.com",
        "codedeploy.us-gov-west-1.amazonaws.com",
        "alexa-appkit.amazon.com",
        "alexa-connectedhome.amazon.com",
        "something.aws.internal",
        "EC2.amazonaws.com",
    ],
)
def test_services_of_aws_are_taken(name):
    assert service_fault(name) == ""


@pytest.mark.parametrize(
    "name", ["brandnew", "a.service.of-tomorrow", "efs2", "ebs", "e2c", "sns2", "inspector3"]
)
def test_a_service_that_is_not_known_is_taken(name):
    assert service_fault(f"{name}.amazonaws.com") == ""


@pytest.mark.parametrize(
    "name",
    [
        "ec2.example.com",
        "amazonaws.com",
        ".amazonaws.com",
        "amazon.com",
        "lambda.amazonaws.com.cn",
        "lambda.amazonaws.com.example.com",
        "lambda.amazonaws.con",
        "us-east-1.amazonaws.com",
        "-ec2.amazonaws.com",
        "ec2..amazonaws.com",
        "*.amazonaws.com",
        "ec2",
        "",
    ],
)
def test_what_has_not_awss_form_is_refused(name):
    assert service_fault(name) == (
        f"{name} is neither SERVICE.amazonaws.com nor an operator's own ([policies] service_principals)"
    )


@pytest.mark.parametrize(
    ("name", "known"),
    [
        ("esc-tasks", "ecs-tasks"),
        ("ecs-task", "ecs-tasks"),
        ("lamda", "lambda"),
        ("lamdba.eu-west-1", "lambda"),
        ("dynamodbb", "dynamodb"),
        ("cloudformatiom", "cloudformation"),
        ("event", "events"),
        ("ecs.application-autoscalling", "ecs.application-autoscaling"),
        ("EDGELAMBADA", "edgelambda"),
    ],
)
def test_a_slip_is_told_with_the_name_that_was_meant(name, known):
    assert service_fault(f"{name}.amazonaws.com") == f"did you mean {known}.amazonaws.com?"


def test_a_service_of_the_operators_own_is_taken_whatever_its_name():
    own = frozenset({"scheduler.corp.example", "lamda.amazonaws.com"})
    assert [service_fault(name, own) for name in own] == ["", ""]
    assert service_fault("other.corp.example", own)


def test_no_name_that_is_known_would_be_taken_for_a_slip_if_it_were_not():
    """So one that no list has is hardly ever refused: each of those that are known is tried as if it were new."""
    known = list(_known())
    assert len(known) > 600
    taken_for_others = []
    for name in known:
        del _known()[name]
        try:
            taken_for_others += [(name, known)] if (known := find_misspelt(name)) is not None else []
        finally:
            _known()[name] = None
    assert taken_for_others == []
