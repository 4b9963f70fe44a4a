"""EKS Pod Identity with boto3 on the other side: associations, and the credentials of pods."""

import secrets
from pathlib import Path
from typing import Any

import jwt
import pytest

from tests.e2e.conftest import REACHES_LOOPBACK, Account, Server
from tests.e2e.pod_identity import TRUST, PodScene, apply, keys_of, new_scene
from tests.e2e.scenes import allow, document, new_user, records_of, refused, written_in
from tests.kubernetes import AUDIENCE, ApiServer, KubernetesCluster, Pod


@pytest.fixture(scope="module")
def scene(server: Server, tmp_path_factory: pytest.TempPathFactory) -> PodScene:
    """Shared: each test has service accounts of its own."""
    return new_scene(server, server.new_account(), tmp_path_factory.mktemp("pods"))


def test_a_pod_has_the_role_of_its_service_accounts_association(scene: PodScene) -> None:
    role_arn = scene.new_role("web")
    association = scene.associate(role_arn)
    pod = Pod("web-7d4b9c-abcde")
    answer = scene.assume(pod)
    assert answer["subject"] == {"namespace": "apps", "serviceAccount": "web"}
    assert answer["audience"] == AUDIENCE
    assert answer["podIdentityAssociation"] == {
        "associationArn": association["associationArn"],
        "associationId": association["associationId"],
    }
    identity = scene.server.client("sts", keys_of(answer)).get_caller_identity()
    assert identity["Arn"] == answer["assumedRoleUser"]["arn"]
    assert identity["UserId"] == answer["assumedRoleUser"]["assumeRoleId"]
    assert "/web/eks-" in identity["Arn"]
    assert scene.server.client("iam", keys_of(answer)).list_users()["Users"]


def test_the_session_has_six_transitive_tags(scene: PodScene) -> None:
    role_arn = scene.new_role("tagged")
    scene.associate(role_arn, "tagged")
    pod = Pod("web-0", service_account="tagged")
    answer = scene.assume(pod)
    request_id = answer["ResponseMetadata"]["RequestId"]
    (first, outer) = sorted(
        records_of(scene.server, request_id), key=lambda one: one["eventSource"] != "sts.amazonaws.com"
    )
    assert (outer["eventSource"], outer["eventName"]) == (
        "eks-auth.amazonaws.com",
        "AssumeRoleForPodIdentity",
    )
    assert outer["requestParameters"]["token"] == "HIDDEN_DUE_TO_SECURITY_REASONS"
    assert first["userIdentity"]["type"] == "AWSService"
    given = {tag["key"]: tag["value"] for tag in first["requestParameters"]["tags"]}
    assert given == {
        "eks-cluster-arn": scene.cluster_arn,
        "eks-cluster-name": scene.cluster.name,
        "kubernetes-namespace": "apps",
        "kubernetes-service-account": "tagged",
        "kubernetes-pod-name": "web-0",
        "kubernetes-pod-uid": pod.uid,
    }
    assert set(first["requestParameters"]["transitiveTagKeys"]) == set(given)
    assert scene.cluster.token(pod)[:40] not in written_in(scene.server)


def test_policies_may_depend_on_the_tags(scene: PodScene) -> None:
    role_arn = scene.new_role("abac")
    scene.associate(role_arn, "abac")
    condition = {"StringEquals": {"aws:PrincipalTag/kubernetes-namespace": "apps"}}
    text = document(allow("iam:ListRoles", Condition=condition))
    iam = scene.server.client("iam", scene.account.root)
    iam.put_role_policy(RoleName="abac", PolicyName="by-namespace", PolicyDocument=text)
    keys = keys_of(scene.assume(Pod("web-0", service_account="abac")))
    assert scene.server.client("iam", keys).list_roles()["Roles"]


@pytest.mark.parametrize(
    "trusted",
    [
        {**TRUST, "Principal": {"Service": "ec2.amazonaws.com"}},
        {**TRUST, "Action": "sts:AssumeRole"},
        {**TRUST, "Condition": {"StringEquals": {"aws:RequestTag/kubernetes-namespace": "other"}}},
        {**TRUST, "Condition": {"ArnEquals": {"aws:SourceArn": "arn:aws:eks:us-east-1:1:cluster/other"}}},
    ],
    ids=["another service", "without TagSession", "another namespace", "another cluster"],
)
def test_a_role_that_does_not_trust_the_pod_is_not_given(scene: PodScene, trusted: dict[str, Any]) -> None:
    name = f"strict-{secrets.token_hex(4)}"
    scene.associate(scene.new_role(name, trusted), name)
    status, code, message = refused(scene.assume, pod=Pod("web-0", service_account=name))
    assert (status, code) == (400, "AccessDeniedException")
    assert message == ("Unauthorized Exception! EKS does not have permissions to assume the associated role.")


def test_a_session_policy_limits_the_pod_and_needs_no_tags(scene: PodScene) -> None:
    role_arn = scene.new_role("limited", {**TRUST, "Action": "sts:AssumeRole"})
    policy = document(allow("sts:GetCallerIdentity"))
    assert refused(scene.associate, role_arn=role_arn, service_account="limited", policy=policy)[:2] == (
        400,
        "InvalidParameterException",
    )
    scene.associate(role_arn, "limited", policy=policy, disableSessionTags=True)
    keys = keys_of(scene.assume(Pod("web-0", service_account="limited")))
    assert refused(scene.server.client("iam", keys).list_users)[1] == "AccessDenied"


def test_a_target_role_of_another_account_is_taken_with_the_external_id(scene: PodScene) -> None:
    source = scene.new_role("source")
    other = scene.server.new_account()
    target = f"arn:aws:iam::{other.account_id}:role/target"
    association = scene.associate(source, "source", targetRoleArn=target)
    assert association["externalId"]
    root = scene.server.client("iam", scene.account.root)
    may = document(allow("sts:AssumeRole", "sts:TagSession", on=target))
    root.put_role_policy(RoleName="source", PolicyName="target", PolicyDocument=may)
    trusted = {
        "Effect": "Allow",
        "Principal": {"AWS": source},
        "Action": ["sts:AssumeRole", "sts:TagSession"],
        "Condition": {
            "StringEquals": {
                "sts:ExternalId": "another",
                "aws:RequestTag/kubernetes-service-account": "web",
            }
        },
    }
    foreign = scene.server.client("iam", other.root)
    foreign.create_role(RoleName="target", AssumeRolePolicyDocument=document(trusted))
    assert refused(scene.assume, pod=Pod("web-0", service_account="source"))[:2] == (
        400,
        "AccessDeniedException",
    )
    trusted["Condition"] = {"StringEquals": {"sts:ExternalId": association["externalId"]}}
    foreign.update_assume_role_policy(RoleName="target", PolicyDocument=document(trusted))
    answer = scene.assume(Pod("web-0", service_account="source"))
    assert f":sts::{other.account_id}:assumed-role/target/eks-" in answer["assumedRoleUser"]["arn"]
    assert scene.server.client("sts", keys_of(answer)).get_caller_identity()["Account"] == other.account_id


def test_associations_are_managed_as_on_aws(scene: PodScene) -> None:
    eks, name = scene.eks, scene.cluster.name
    one, two = scene.new_role("one"), scene.new_role("two")
    once = {"namespace": "managed", "tags": {"team": "a"}, "clientRequestToken": "once"}
    first = scene.associate(one, "first", **once)
    assert scene.associate(one, "first", **once) == first
    again = {"role_arn": two, "service_account": "first", "namespace": "managed"}
    assert refused(scene.associate, **again)[:2] == (409, "ResourceInUseException")
    second = scene.associate(one, "second", "managed")
    at = {"clusterName": name, "associationId": first["associationId"]}
    assert eks.describe_pod_identity_association(**at)["association"] == first
    page = eks.list_pod_identity_associations(clusterName=name, namespace="managed", maxResults=1)
    rest = eks.list_pod_identity_associations(
        clusterName=name, namespace="managed", nextToken=page["nextToken"]
    )
    found = [one["associationId"] for one in page["associations"] + rest["associations"]]
    assert found == [first["associationId"], second["associationId"]]
    listed = eks.list_pod_identity_associations(
        clusterName=name, namespace="managed", serviceAccount="second"
    )
    assert [one["serviceAccount"] for one in listed["associations"]] == ["second"]
    changed = eks.update_pod_identity_association(**at, roleArn=two, disableSessionTags=True)["association"]
    assert (changed["roleArn"], changed["disableSessionTags"]) == (two, True)
    arn = first["associationArn"]
    eks.tag_resource(resourceArn=arn, tags={"owner": "b"})
    assert eks.list_tags_for_resource(resourceArn=arn)["tags"] == {"team": "a", "owner": "b"}
    eks.untag_resource(resourceArn=arn, tagKeys=["team", "owner"])
    assert eks.list_tags_for_resource(resourceArn=arn)["tags"] == {}
    assert eks.delete_pod_identity_association(**at)["association"]["associationId"] == first["associationId"]
    assert refused(eks.describe_pod_identity_association, **at)[:2] == (404, "ResourceNotFoundException")
    assert refused(scene.assume, pod=Pod("x", service_account="first", namespace="managed"))[:2] == (
        404,
        "ResourceNotFoundException",
    )


def test_clusters_are_those_that_the_operator_declared(scene: PodScene) -> None:
    eks = scene.eks
    assert eks.list_clusters()["clusters"] == [scene.cluster.name]
    found = eks.describe_cluster(name=scene.cluster.name)["cluster"]
    assert (found["arn"], found["status"]) == (scene.cluster_arn, "ACTIVE")
    assert found["identity"]["oidc"]["issuer"] == scene.cluster.issuer
    eks.tag_resource(resourceArn=scene.cluster_arn, tags={"stage": "test"})
    assert eks.describe_cluster(name=scene.cluster.name)["cluster"]["tags"] == {"stage": "test"}
    assert refused(eks.describe_cluster, name="other") == (
        404,
        "ResourceNotFoundException",
        "No cluster found for name: other.",
    )
    assert refused(eks.list_tags_for_resource, resourceArn="arn:aws:eks:us-east-1:1:cluster/x")[:2] == (
        404,
        "NotFoundException",
    )


def test_operations_of_eks_that_the_broker_has_not_say_so(scene: PodScene) -> None:
    eks, name = scene.eks, scene.cluster.name
    calls = [
        (eks.create_cluster, {"name": "new", "roleArn": "arn:aws:iam::1:role/r", "resourcesVpcConfig": {}}),
        (eks.delete_cluster, {"name": name}),
        (eks.list_nodegroups, {"clusterName": name}),
        (eks.list_addons, {"clusterName": name}),
        (eks.list_access_entries, {"clusterName": name}),
    ]
    for call, arguments in calls:
        status, code, message = refused(call, **arguments)
        assert (status, code) == (501, "NotImplemented"), call
        assert "README" in message
    assert eks.list_clusters()["clusters"] == [name]


def test_who_may_not_manage_associations_learns_nothing(scene: PodScene) -> None:
    eks = scene.server.client("eks", scene.node)
    name = scene.cluster.name
    at = {"clusterName": name, "associationId": "a-" + "x" * 17}
    new = {
        "clusterName": name,
        "namespace": "apps",
        "serviceAccount": "nobody",
        "roleArn": scene.new_role("r"),
    }
    calls = [
        (eks.create_pod_identity_association, new),
        (eks.describe_pod_identity_association, at),
        (eks.update_pod_identity_association, {**at, "disableSessionTags": True}),
        (eks.delete_pod_identity_association, at),
        (eks.list_pod_identity_associations, {"clusterName": name}),
        (eks.describe_cluster, {"name": "other"}),
        (eks.list_clusters, {}),
        (eks.tag_resource, {"resourceArn": scene.cluster_arn, "tags": {"a": "b"}}),
        (eks.untag_resource, {"resourceArn": scene.cluster_arn, "tagKeys": ["a"]}),
        (eks.list_tags_for_resource, {"resourceArn": scene.cluster_arn}),
    ]
    for call, arguments in calls:
        assert refused(call, **arguments)[:2] == (403, "AccessDeniedException"), call
    found = scene.eks.list_pod_identity_associations(clusterName=name, serviceAccount="nobody")
    assert found["associations"] == []


def test_giving_a_role_away_needs_iam_pass_role(scene: PodScene) -> None:
    role_arn = scene.new_role("precious")
    user = new_user(scene.server, scene.account, "deployer", allow("eks:*"))
    eks = scene.server.client("eks", user)
    new = {
        "clusterName": scene.cluster.name,
        "namespace": "apps",
        "serviceAccount": "web",
        "roleArn": role_arn,
    }
    status, code, message = refused(eks.create_pod_identity_association, **new)
    assert (status, code) == (403, "AccessDeniedException")
    assert "iam:PassRole" in message
    missing = {**new, "roleArn": role_arn + "-not"}
    assert refused(scene.eks.create_pod_identity_association, **missing) == (
        400,
        "InvalidParameterException",
        "Role provided in the request does not exist.",
    )


def test_who_may_not_ask_for_pods_gets_nothing(scene: PodScene) -> None:
    scene.associate(scene.new_role("asked"), "asked")
    user = new_user(scene.server, scene.account, "other", allow("iam:*"))
    client = scene.server.client("eks-auth", user)
    asking = {
        "clusterName": scene.cluster.name,
        "token": scene.cluster.token(Pod("web-0", service_account="asked")),
    }
    assert refused(client.assume_role_for_pod_identity, **asking)[:2] == (400, "AccessDeniedException")
    stranger = scene.server.new_account()
    client = scene.server.client("eks-auth", stranger.root)
    assert refused(client.assume_role_for_pod_identity, **asking)[:2] == (404, "ResourceNotFoundException")


def changed(claims: dict[str, Any], **changes: Any) -> dict[str, Any]:
    return {**claims, **changes}


def attacks(cluster: KubernetesCluster) -> dict[str, tuple[str, str]]:
    """A name, the token, and the code of the refusal."""
    pod, other = Pod("web-0", service_account="proven"), KubernetesCluster(key_id=cluster.key_id)
    claims = cluster.claims(pod)
    bound = claims["kubernetes.io"]
    unsigned = cluster.token(pod).rpartition(".")[0]
    return {
        "another audience": (cluster.token(pod, audience="sts.amazonaws.com"), "InvalidTokenException"),
        "expired": (cluster.token(pod, lifetime=-120), "ExpiredTokenException"),
        "not yet valid": (cluster.sign(changed(claims, nbf=claims["nbf"] + 600)), "InvalidTokenException"),
        "another issuer": (cluster.sign(changed(claims, iss="https://other")), "InvalidTokenException"),
        "another cluster's key": (other.token(pod), "InvalidTokenException"),
        "signature of other claims": (
            unsigned + "." + cluster.token(Pod("web-1")).rpartition(".")[2],
            "InvalidTokenException",
        ),
        "no pod": (
            cluster.sign(changed(claims, **{"kubernetes.io": {**bound, "pod": None}})),
            "InvalidTokenException",
        ),
        "subject of another service account": (
            cluster.sign(changed(claims, sub="system:serviceaccount:apps:admin")),
            "InvalidTokenException",
        ),
        "a namespace with a slash": (
            cluster.sign(changed(claims, **{"kubernetes.io": {**bound, "namespace": "apps/web"}})),
            "InvalidTokenException",
        ),
        "algorithm none": (
            jwt.encode(claims, None, "none", headers={"kid": cluster.key_id}) + "x",
            "InvalidTokenException",
        ),
    }


def test_tokens_that_prove_nothing_are_refused(scene: PodScene) -> None:
    scene.associate(scene.new_role("proven"), "proven")
    for name, (token, code) in attacks(scene.cluster).items():
        assert refused(scene.assume, pod=Pod("web-0", service_account="proven"), token=token)[:2] == (
            400,
            code,
        ), name


def test_a_token_is_not_taken_for_another_cluster(server: Server, account: Account, tmp_path: Path) -> None:
    one, two = KubernetesCluster(), KubernetesCluster()
    scene = new_scene(server, account, tmp_path, one)
    declared = {"issuer": two.issuer, "keys": two.key_set}
    apply(server, tmp_path, {"accounts": {account.account_id: {"clusters": {two.name: declared}}}})
    scene.associate(scene.new_role("web"))
    client = server.client("eks-auth", scene.node)
    for name, code in ((two.name, "InvalidTokenException"), ("other", "ResourceNotFoundException")):
        asking = {"clusterName": name, "token": one.token(Pod("web-0"))}
        assert refused(client.assume_role_for_pod_identity, **asking)[1] == code


def test_a_token_is_taken_from_the_node_of_its_pod_alone(
    server: Server, account: Account, tmp_path: Path
) -> None:
    scene = new_scene(server, account, tmp_path, node_tag="kubernetes-node")
    scene.associate(scene.new_role("web"))
    pod, elsewhere = Pod("web-0", node="node-1"), Pod("web-1", node="node-2")
    assert refused(scene.assume, pod=pod)[:2] == (400, "AccessDeniedException")
    tag = {"Key": "kubernetes-node", "Value": "node-1"}
    server.client("iam", account.root).tag_user(UserName="node", Tags=[tag])
    assert scene.assume(pod)["subject"]["serviceAccount"] == "web"
    assert refused(scene.assume, pod=elsewhere)[:2] == (400, "AccessDeniedException")
    assert refused(scene.assume, pod=pod, eksNodeName="node-2")[:2] == (400, "AccessDeniedException")


def test_with_a_token_review_a_pod_that_is_gone_has_no_role_from_then_on(
    tmp_path: Path,
) -> None:
    """And its keys need not be known."""
    cluster = KubernetesCluster()
    (tmp_path / "reviewer").mkdir()
    server = Server(tmp_path, f"sqlite:{tmp_path / 'broker.db'}", environment=REACHES_LOOPBACK)
    api = ApiServer(cluster, tmp_path)
    (tmp_path / "reviewer" / "token").write_text(api.reviewer)
    review = {
        "server": api.url,
        "certificate_authority": api.authority,
        "token_file": str(tmp_path / "reviewer" / "token"),
    }
    with server.running(), api.running():
        scene = new_scene(server, server.new_account(), tmp_path, cluster, keys="", token_review=review)
        scene.associate(scene.new_role("web"))
        pod = Pod("web-0")
        token = cluster.token(pod)
        assert scene.assume(pod, token=token)["audience"] == AUDIENCE
        api.gone.add(pod.uid)
        assert refused(scene.assume, pod=pod, token=token)[:2] == (400, "InvalidTokenException")
        forged = KubernetesCluster(key_id=cluster.key_id).token(Pod("web-1"))
        assert refused(scene.assume, pod=pod, token=forged)[:2] == (400, "InvalidTokenException")
        (tmp_path / "reviewer" / "token").write_text("another")
        again = cluster.token(Pod("web-2"))
        assert refused(scene.assume, pod=pod, token=again)[:2] == (503, "ServiceUnavailableException")
