"""Access Analyzer's analyzers, findings and archive rules, with boto3 on the other side, on both engines."""

import asyncio
import time
from typing import Any

from msgspec.structs import replace

from broker.app import open_broker
from broker.config import load_settings
from broker.storage.store import ROLES, Transaction
from tests.e2e.conftest import REGION, Account, Keys, Server
from tests.e2e.scenes import allow, document, new_role, new_user, refused, trust
from tests.e2e.test_session_operations import session

NOWHERE = "arn:aws:access-analyzer:eu-central-1:{account}:analyzer/nowhere"


def by_resource(findings: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    return {one["resource"].rpartition("/")[2]: one for one in findings}


def test_external_access_is_found_archived_and_resolved(server: Server, account: Account) -> None:
    iam, analyzer = server.client("iam", account.root), server.client("accessanalyzer", account.root)
    other = "999988887777"
    new_role(server, account, "shared", trust(other))
    new_role(server, account, "own", trust(account.account_id))
    arn = analyzer.create_analyzer(analyzerName="outside", type="ACCOUNT", tags={"team": "red"})["arn"]
    assert arn == f"arn:aws:access-analyzer:eu-central-1:{account.account_id}:analyzer/outside"
    (found,) = analyzer.list_findings(analyzerArn=arn)["findings"]
    assert found["principal"] == {"AWS": other}
    assert (found["action"], found["isPublic"], found["status"]) == (["sts:AssumeRole"], False, "ACTIVE")
    assert found["resourceType"] == "AWS::IAM::Role"

    # Access that comes later is there at the next look, without a scan.
    new_role(server, account, "open", trust("*", Condition={"Bool": {"aws:SecureTransport": "true"}}))
    findings = by_resource(analyzer.list_findings(analyzerArn=arn)["findings"])
    assert findings.keys() == {"shared", "open"}
    assert findings["shared"]["id"] == found["id"]
    assert findings["open"]["condition"] == {"aws:SecureTransport": "Bool: true"}

    analyzer.update_findings(analyzerArn=arn, ids=[found["id"]], status="ARCHIVED")
    assert analyzer.get_finding(analyzerArn=arn, id=found["id"])["finding"]["status"] == "ARCHIVED"
    only = {"status": {"eq": ["ACTIVE"]}}
    assert by_resource(analyzer.list_findings_v2(analyzerArn=arn, filter=only)["findings"]).keys() == {"open"}
    iam.delete_role(RoleName="shared")
    second = analyzer.get_finding_v2(analyzerArn=arn, id=found["id"])
    assert (second["status"], second["findingType"]) == ("RESOLVED", "ExternalAccess")
    assert second["findingDetails"][0]["externalAccessDetails"]["principal"] == {"AWS": other}

    newest = {"attributeName": "resource", "orderBy": "DESC"}
    first = analyzer.list_findings(analyzerArn=arn, sort=newest, maxResults=1)
    rest = analyzer.list_findings(analyzerArn=arn, sort=newest, maxResults=1, nextToken=first["nextToken"])
    assert [first["findings"][0]["id"], rest["findings"][0]["id"]] == [found["id"], findings["open"]["id"]]

    resource = f"arn:aws:iam::{account.account_id}:role/open"
    analyzer.start_resource_scan(analyzerArn=arn, resourceArn=resource)
    assert analyzer.get_analyzer(analyzerName="outside")["analyzer"]["lastResourceAnalyzed"] == resource
    listed = analyzer.list_analyzed_resources(analyzerArn=arn, resourceType="AWS::IAM::Role")
    assert {one["resourceArn"].rpartition("/")[2] for one in listed["analyzedResources"]} == {"open", "own"}
    shown = analyzer.get_analyzed_resource(analyzerArn=arn, resourceArn=resource)["resource"]
    assert (shown["status"], shown["isPublic"], shown["actions"]) == ("ACTIVE", False, ["sts:AssumeRole"])

    analyzer.tag_resource(resourceArn=arn, tags={"stage": "test"})
    analyzer.untag_resource(resourceArn=arn, tagKeys=["team"])
    assert analyzer.list_tags_for_resource(resourceArn=arn)["tags"] == {"stage": "test"}
    assert [one["name"] for one in analyzer.list_analyzers(type="ACCOUNT")["analyzers"]] == ["outside"]
    analyzer.delete_analyzer(analyzerName="outside")
    assert analyzer.list_analyzers()["analyzers"] == []


def test_archive_rules_archive_what_comes_and_what_is_there_when_they_are_applied(
    server: Server, account: Account
) -> None:
    analyzer = server.client("accessanalyzer", account.root)
    new_role(server, account, "first", trust("999988887777"))
    arn = analyzer.create_analyzer(analyzerName="ruled", type="ACCOUNT")["arn"]
    partner = {"principal.AWS": {"eq": ["999988887777"]}}
    analyzer.create_archive_rule(analyzerName="ruled", ruleName="partner", filter=partner)
    new_role(server, account, "second", trust("999988887777"))
    findings = by_resource(analyzer.list_findings(analyzerArn=arn)["findings"])
    assert {name: one["status"] for name, one in findings.items()} == {
        "first": "ACTIVE",
        "second": "ARCHIVED",
    }
    analyzer.apply_archive_rule(analyzerArn=arn, ruleName="partner")
    archived = analyzer.list_findings(analyzerArn=arn, filter={"status": {"eq": ["ARCHIVED"]}})["findings"]
    assert by_resource(archived).keys() == {"first", "second"}

    changed = {"resource": {"contains": ["third"]}}
    analyzer.update_archive_rule(analyzerName="ruled", ruleName="partner", filter=changed)
    rule = analyzer.get_archive_rule(analyzerName="ruled", ruleName="partner")["archiveRule"]
    assert rule["filter"]["resource"]["contains"] == ["third"]
    assert [one["ruleName"] for one in analyzer.list_archive_rules(analyzerName="ruled")["archiveRules"]] == [
        "partner"
    ]
    analyzer.delete_archive_rule(analyzerName="ruled", ruleName="partner")
    assert analyzer.list_archive_rules(analyzerName="ruled")["archiveRules"] == []


def test_an_analyzer_of_unused_access_takes_days_and_excludes_accounts(
    server: Server, account: Account
) -> None:
    analyzer = server.client("accessanalyzer", account.root)
    new_user(server, account, "alice")
    days = {"unusedAccess": {"unusedAccessAge": 1}}
    arn = analyzer.create_analyzer(analyzerName="idle", type="ACCOUNT_UNUSED_ACCESS", configuration=days)[
        "arn"
    ]
    assert analyzer.list_findings_v2(analyzerArn=arn)["findings"] == []  # her key is of today
    excluded = {"unusedAccess": {"analysisRule": {"exclusions": [{"accountIds": ["999988887777"]}]}}}
    answer = analyzer.update_analyzer(analyzerName="idle", configuration=excluded)["configuration"]
    assert answer["unusedAccess"]["unusedAccessAge"] == 1
    assert answer["unusedAccess"]["analysisRule"]["exclusions"][0]["accountIds"] == ["999988887777"]
    assert refused(analyzer.list_findings, analyzerArn=arn)[1] == "ValidationException"
    tagged = {"unusedAccess": {"analysisRule": {"exclusions": [{"resourceTags": [{"team": "red"}]}]}}}
    answer = analyzer.update_analyzer(analyzerName="idle", configuration=tagged)["configuration"]
    assert answer["unusedAccess"]["analysisRule"]["exclusions"] == [
        {"accountIds": [], "resourceTags": [{"team": "red"}]}
    ]
    (shown,) = analyzer.get_findings_statistics(analyzerArn=arn)["findingsStatistics"]
    assert shown["unusedAccessFindingsStatistics"]["totalActiveFindings"] == 0


def test_what_does_not_exist_is_refused(server: Server, account: Account) -> None:
    analyzer = server.client("accessanalyzer", account.root)
    arn = NOWHERE.format(account=account.account_id)
    rule = {"analyzerName": "nowhere", "ruleName": "r"}
    criteria = {"resource": {"exists": True}}
    resource = "arn:aws:s3:::b"
    for call, arguments in (
        (analyzer.get_analyzer, {"analyzerName": "nowhere"}),
        (analyzer.update_analyzer, {"analyzerName": "nowhere"}),
        (analyzer.delete_analyzer, {"analyzerName": "nowhere"}),
        (analyzer.list_findings, {"analyzerArn": arn}),
        (analyzer.list_findings_v2, {"analyzerArn": arn}),
        (analyzer.get_finding, {"analyzerArn": arn, "id": "1"}),
        (analyzer.get_finding_v2, {"analyzerArn": arn, "id": "1"}),
        (analyzer.update_findings, {"analyzerArn": arn, "status": "ACTIVE", "ids": ["1"]}),
        (analyzer.create_archive_rule, {**rule, "filter": criteria}),
        (analyzer.get_archive_rule, rule),
        (analyzer.update_archive_rule, {**rule, "filter": criteria}),
        (analyzer.delete_archive_rule, rule),
        (analyzer.list_archive_rules, {"analyzerName": "nowhere"}),
        (analyzer.apply_archive_rule, {"analyzerArn": arn, "ruleName": "r"}),
        (analyzer.start_resource_scan, {"analyzerArn": arn, "resourceArn": resource}),
        (analyzer.list_analyzed_resources, {"analyzerArn": arn}),
        (analyzer.get_findings_statistics, {"analyzerArn": arn}),
        (analyzer.generate_finding_recommendation, {"analyzerArn": arn, "id": "1"}),
        (analyzer.get_finding_recommendation, {"analyzerArn": arn, "id": "1"}),
        (analyzer.get_analyzed_resource, {"analyzerArn": arn, "resourceArn": resource}),
        (analyzer.tag_resource, {"resourceArn": arn, "tags": {"a": "b"}}),
        (analyzer.untag_resource, {"resourceArn": arn, "tagKeys": ["a"]}),
        (analyzer.list_tags_for_resource, {"resourceArn": arn}),
    ):
        assert refused(call, **arguments)[:2] == (404, "ResourceNotFoundException"), call


def test_what_cannot_be_created_is_refused(server: Server, account: Account) -> None:
    analyzer = server.client("accessanalyzer", account.root)
    first, again = (
        analyzer.create_analyzer(analyzerName="one", type="ACCOUNT", clientToken="1")["arn"] for _ in range(2)
    )
    assert first == again
    for name, kind, code in (
        ("one", "ACCOUNT_UNUSED_ACCESS", "ConflictException"),
        ("two", "ACCOUNT", "ServiceQuotaExceededException"),
        ("two", "ORGANIZATION", "ValidationException"),
        ("two", "ACCOUNT_INTERNAL_ACCESS", "NotImplemented"),
    ):
        assert refused(analyzer.create_analyzer, analyzerName=name, type=kind)[1] == code
    assert refused(analyzer.list_analyzers, maxResults=0)[1] == "ValidationException"
    nonsense = {"colour": {"eq": ["red"]}}
    rule = {"analyzerName": "one", "ruleName": "r", "filter": nonsense}
    assert refused(analyzer.create_archive_rule, **rule)[1] == "ValidationException"


def test_findings_are_for_those_whom_policies_allow_to_see_them(server: Server, account: Account) -> None:
    root = server.client("accessanalyzer", account.root)
    arn = root.create_analyzer(analyzerName="seen", type="ACCOUNT")["arn"]
    may = new_user(server, account, "may", allow("access-analyzer:ListFindings", on=arn))
    may_not = new_user(server, account, "may-not", allow("access-analyzer:ListFindings", on=f"{arn}x"))
    assert server.client("accessanalyzer", may).list_findings(analyzerArn=arn)["findings"] == []
    client = server.client("accessanalyzer", may_not)
    for name in (arn, NOWHERE.format(account=account.account_id)):
        assert refused(client.list_findings, analyzerArn=name)[:2] == (403, "AccessDeniedException")


def test_the_policy_of_a_resource_of_another_service_is_looked_at(server: Server, account: Account) -> None:
    bucket = f"arn:aws:s3:::reports-{account.account_id}"
    statement = allow("s3:GetObject", on=f"{bucket}/*", Principal="*")
    iam = session().client(
        "iam",
        region_name=REGION,
        endpoint_url=server.url,
        aws_access_key_id=account.root.access_key_id,
        aws_secret_access_key=account.root.secret_access_key,
    )
    iam.register_foreign_resource(ResourceArn=bucket)
    iam.put_foreign_resource_policy(ResourceArn=bucket, PolicyDocument=document(statement))
    analyzer = server.client("accessanalyzer", account.root)
    arn = analyzer.create_analyzer(analyzerName="buckets", type="ACCOUNT")["arn"]
    (found,) = analyzer.list_findings(analyzerArn=arn)["findings"]
    assert (found["resource"], found["resourceType"], found["isPublic"]) == (bucket, "AWS::S3::Bucket", True)
    assert found["principal"] == {"AWS": "*"}


def older(server: Server, account: Account, name: str) -> None:
    """Makes the role one that was created long ago."""

    async def work(store: Transaction) -> None:
        role = await store.find(ROLES, account.account_id, name)
        assert role is not None
        store.put(ROLES, account.account_id, replace(role, created_at=1))

    async def make() -> None:
        async with open_broker(load_settings(None, server.settings), {}) as broker:
            await broker.store.transact(work)

    asyncio.run(make())


def test_permissions_that_a_role_does_not_use_are_found_with_what_to_do(
    server: Server, account: Account
) -> None:
    here = f"arn:aws:iam::{account.account_id}:root"
    granted = allow("iam:GetUser", "iam:ListUsers", "organizations:*")
    role = new_role(server, account, "worker", trust(here), granted)
    ann = new_user(server, account, "ann", allow("sts:AssumeRole"))
    older(server, account, "worker")
    sts = server.client("sts", ann)
    session_keys = Keys.of(sts.assume_role(RoleArn=role, RoleSessionName="work")["Credentials"])
    server.client("iam", session_keys).get_user(UserName="ann")
    analyzer = server.client("accessanalyzer", account.root)
    arn = analyzer.create_analyzer(analyzerName="idle", type="ACCOUNT_UNUSED_ACCESS")["arn"]
    only = {"findingType": {"eq": ["UnusedPermission"]}, "status": {"eq": ["ACTIVE"]}}
    deadline = time.monotonic() + 30
    while not (found := analyzer.list_findings_v2(analyzerArn=arn, filter=only)["findings"]):
        assert time.monotonic() < deadline, "the marks are not written"
        time.sleep(0.5)
    assert [one["resource"] for one in found] == [role]
    details = analyzer.get_finding_v2(analyzerArn=arn, id=found[0]["id"])["findingDetails"]
    unused = [one["unusedPermissionDetails"] for one in details]
    assert [(one["serviceNamespace"], [two["action"] for two in one["actions"]]) for one in unused] == [
        ("iam", ["ListUsers"]),
        ("organizations", []),
    ]
    named = {"analyzerArn": arn, "id": found[0]["id"]}
    assert refused(analyzer.get_finding_recommendation, **named)[1] == "ResourceNotFoundException"
    analyzer.generate_finding_recommendation(**named)
    advice = analyzer.get_finding_recommendation(**named)
    steps = [one["unusedPermissionsRecommendedStep"] for one in advice["recommendedSteps"]]
    assert (advice["status"], advice["resourceArn"]) == ("SUCCEEDED", role)
    assert [one["recommendedAction"] for one in steps] == ["CREATE_POLICY", "DETACH_POLICY"]
    assert "iam:ListUsers" not in steps[0]["recommendedPolicy"]
