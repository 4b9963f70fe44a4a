"""CloudTrail's trails: delivered to a real store, and validated by the unmodified AWS CLI."""

import gzip
import json
import os
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.aws_cli import command_line
from tests.e2e.conftest import CLI_1, CLI_2, REGION, Account, Server
from tests.e2e.gateway import RCLONE, STORE_KEYS
from tests.e2e.scenes import allow, new_user, refused
from tests.e2e.trails import CLOUDTRAIL, Trails, bucket_policy, delivering, document, eventually


@pytest.fixture(scope="module", params=["sqlite", "redis"])
def trails(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Trails]:
    folder = tmp_path_factory.mktemp("trails")
    is_redis = request.param == "redis"
    store = (
        request.getfixturevalue("redis_server").new_store() if is_redis else f"sqlite:{folder / 'broker.db'}"
    )
    with delivering(folder, store) as running:
        yield running


sqlite_only = pytest.mark.parametrize("trails", ["sqlite"], indirect=True)


def started(trails: Trails, account: Account, bucket: str, **more: Any) -> Any:
    """A client, and the trail `all` that is logging."""
    client = trails.server.client("cloudtrail", account.root)
    client.create_trail(Name="all", S3BucketName=bucket, **more)
    client.start_logging(Name="all")
    return client


def delivered(trails: Trails) -> tuple[Account, str, str]:
    """An account, its bucket with what a trail has delivered, and the ARN of the trail, which is stopped."""
    account, stranger = trails.server.new_account(), trails.server.new_account()
    bucket = trails.new_bucket(account)
    client = started(trails, account, bucket, S3KeyPrefix="audit", EnableLogFileValidation=True)
    iam = trails.server.client("iam", account.root)
    iam.create_user(UserName="ann")
    trails.server.client("iam", stranger.root).create_user(UserName="bob")
    eventually(lambda: "CreateUser" in trails.names(bucket))
    iam.create_user(UserName="cem")
    eventually(lambda: trails.names(bucket).count("CreateUser") == 2)
    eventually(lambda: len(trails.keys(bucket, "Digest")) >= 2)
    client.stop_logging(Name="all")
    eventually(lambda: "StopLogging" in trails.names(bucket))
    eventually(lambda: _are_listed(trails, bucket))
    return account, bucket, client.get_trail(Name="all")["Trail"]["TrailARN"]


def test_what_a_trail_delivers_is_its_accounts_and_valid(trails: Trails) -> None:
    account, bucket, arn = delivered(trails)
    found = trails.records(bucket)
    assert {one["recipientAccountId"] for one in found} == {account.account_id}
    assert len({one["eventID"] for one in found}) == len(found)
    logs = trails.keys(bucket)
    folder = f"audit/AWSLogs/{account.account_id}/CloudTrail/{REGION}/20"
    assert all(key.startswith(folder) for key in logs)
    # One version of the CLI with each engine.
    cli = CLI_1 if trails.server.store.startswith("sqlite:") else CLI_2
    status, text = trails.validate(account, arn, cli=cli)
    assert (status, "INVALID" in text) == (0, False), text
    assert f"{len(logs)}/{len(logs)} log files valid" in text
    (key,) = trails.server.client("cloudtrail", account.root).list_public_keys()["PublicKeyList"]
    assert key["Value"].startswith(b"\x30\x82")


@sqlite_only
def test_what_is_changed_removed_or_added_is_invalid(trails: Trails) -> None:
    account, bucket, arn = delivered(trails)
    store, logs = trails.s3.store, trails.keys(bucket)
    changed = next(key for key in logs if '"ann"' in json.dumps(trails.read(bucket, key)))
    removed = next(key for key in logs if key != changed)
    body = gzip.decompress(store.get_object(Bucket=bucket, Key=changed)["Body"].read())
    store.put_object(Bucket=bucket, Key=changed, Body=gzip.compress(body.replace(b"ann", b"eve")))
    store.delete_object(Bucket=bucket, Key=removed)
    status, text = trails.validate(account, arn)
    assert status == 1
    assert f"{changed}\tINVALID: hash value doesn't match" in text
    assert f"{removed}\tINVALID: not found" in text

    *_, named, last = trails.keys(bucket, "Digest")
    removed_digest = store.get_object(Bucket=bucket, Key=named)
    store.delete_object(Bucket=bucket, Key=named)  # the last one names it as the one before
    # One that is added after the last: it has no signature of the account's key.
    while (added := last.replace(last[-24:-8], time.strftime("%Y%m%dT%H%M%SZ", time.gmtime()))) <= last:
        time.sleep(0.1)  # the names have seconds
    content = removed_digest["Body"].read()
    store.put_object(Bucket=bucket, Key=added, Body=content, Metadata=removed_digest["Metadata"])
    status, text = trails.validate(account, arn)
    assert status == 1
    assert f"{named}\tINVALID: not found" in text
    assert f"{added}\tINVALID: has been moved" in text


def _are_listed(trails: Trails, bucket: str) -> bool:
    """Whether digest files list every log file."""
    listed = {
        log["s3Object"]
        for key in trails.keys(bucket, "Digest")
        for log in trails.read(bucket, key)["logFiles"]
    }
    return set(trails.keys(bucket)) <= listed


def test_trails_are_created_described_changed_and_deleted(trails: Trails) -> None:
    account = trails.server.new_account()
    bucket, other = trails.new_bucket(account), trails.new_bucket(account)
    client = trails.server.client("cloudtrail", account.root)
    made = client.create_trail(Name="one", S3BucketName=bucket, TagsList=[{"Key": "team", "Value": "red"}])
    arn = f"arn:aws:cloudtrail:{REGION}:{account.account_id}:trail/one"
    assert (made["TrailARN"], made["LogFileValidationEnabled"], made["IsMultiRegionTrail"]) == (
        arn,
        False,
        False,
    )
    assert client.list_trails()["Trails"] == [{"TrailARN": arn, "Name": "one", "HomeRegion": REGION}]
    status = client.get_trail_status(Name=arn)
    assert (status["IsLogging"], "LatestDeliveryTime" in status, status["TimeLoggingStarted"]) == (
        False,
        False,
        "",
    )

    changed = client.update_trail(
        Name="one",
        S3BucketName=other,
        S3KeyPrefix="a/b",
        IsMultiRegionTrail=True,
        EnableLogFileValidation=True,
    )
    assert (changed["S3BucketName"], changed["S3KeyPrefix"]) == (other, "a/b")
    (shown,) = client.describe_trails()["trailList"]
    assert (shown["IsMultiRegionTrail"], shown["LogFileValidationEnabled"]) == (True, True)
    assert (shown["HomeRegion"], shown["HasCustomEventSelectors"]) == (REGION, False)
    elsewhere = trails.elsewhere("cloudtrail", account, "us-west-2")
    assert [one["Name"] for one in elsewhere.describe_trails()["trailList"]] == ["one"]
    assert elsewhere.describe_trails(includeShadowTrails=False)["trailList"] == []
    assert refused(elsewhere.stop_logging, Name="one")[1] == "InvalidHomeRegionException"

    client.add_tags(ResourceId=arn, TagsList=[{"Key": "stage", "Value": "test"}])
    client.remove_tags(ResourceId=arn, TagsList=[{"Key": "team"}])
    listed = client.list_tags(ResourceIdList=[arn])["ResourceTagList"]
    assert listed == [{"ResourceId": arn, "TagsList": [{"Key": "stage", "Value": "test"}]}]
    assert client.get_event_selectors(TrailName="one")["EventSelectors"] == [
        {
            "ReadWriteType": "All",
            "IncludeManagementEvents": True,
            "DataResources": [],
            "ExcludeManagementEventSources": [],
        }
    ]
    with pytest.raises(client.exceptions.InsightNotEnabledException):
        client.get_insight_selectors(TrailName="one")
    for wrong in ({}, {"TrailName": "one", "EventDataStore": "two"}):
        with pytest.raises(client.exceptions.InvalidParameterCombinationException):
            client.get_insight_selectors(**wrong)
    with pytest.raises(client.exceptions.InvalidParameterException):
        client.get_insight_selectors(EventDataStore="two")
    client.delete_trail(Name="one")
    assert client.describe_trails()["trailList"] == []
    assert refused(client.get_trail, Name="one")[:2] == (400, "TrailNotFoundException")


@sqlite_only
def test_cloudtrail_does_what_is_typed_at_the_aws_cli(trails: Trails) -> None:
    account = trails.server.new_account()
    bucket = trails.new_bucket(account)
    with command_line(trails.server, account, "cloudtrail") as aws:
        made = f"create-trail --name one --s3-bucket-name {bucket} --tags-list Key=team,Value=red"
        arn = aws(made)["TrailARN"]
        aws("update-trail --name one --s3-key-prefix a --enable-log-file-validation")
        assert aws("get-trail --name one")["Trail"]["S3KeyPrefix"] == "a"
        assert [one["Name"] for one in aws("describe-trails")["trailList"]] == ["one"]
        assert [one["TrailARN"] for one in aws("list-trails")["Trails"]] == [arn]
        aws("start-logging --name one")
        assert aws("get-trail-status --name one")["IsLogging"] is True
        aws("put-event-selectors --trail-name one", event_selectors=[{"ReadWriteType": "WriteOnly"}])
        (selector,) = aws("get-event-selectors --trail-name one")["EventSelectors"]
        assert selector["ReadWriteType"] == "WriteOnly"
        assert "InsightNotEnabledException" in aws.refused("get-insight-selectors --trail-name one")
        aws.typed.add("get-insight-selectors")  # which nobody can enable
        aws(f"add-tags --resource-id {arn} --tags-list Key=stage,Value=test")
        aws(f"remove-tags --resource-id {arn} --tags-list Key=team")
        (tagged,) = aws(f"list-tags --resource-id-list {arn}")["ResourceTagList"]
        assert tagged["TagsList"] == [{"Key": "stage", "Value": "test"}]
        assert eventually(lambda: aws("list-public-keys")["PublicKeyList"])
        asked = "lookup-events --lookup-attributes AttributeKey=EventName,AttributeValue=CreateTrail"
        assert eventually(lambda: aws(asked)["Events"])[0]["EventName"] == "CreateTrail"
        aws("stop-logging --name one")
        aws("delete-trail --name one")
        assert "TrailNotFoundException" in aws.refused("get-trail --name one")
        assert aws.never_typed() == set()


@sqlite_only
def test_a_trail_that_cannot_be_had_is_refused_by_name(trails: Trails) -> None:
    account, other = trails.server.new_account(), trails.server.new_account()
    bucket = trails.new_bucket(account)
    client = trails.server.client("cloudtrail", account.root)

    def code(**members: Any) -> str:
        return refused(client.create_trail, **{"Name": "one", "S3BucketName": bucket, **members})[1]

    assert code(Name="a") == code(Name="-abc") == code(Name="a..b") == "InvalidTrailNameException"
    assert code(S3BucketName="../etc") == "InvalidS3BucketNameException"
    assert code(S3KeyPrefix="../../x") == code(S3KeyPrefix="/x") == "InvalidS3PrefixException"
    assert code(S3BucketName="nobodys-bucket") == "S3BucketDoesNotExistException"
    assert code(KmsKeyId="alias/x") == code(SnsTopicName="topic") == "UnsupportedOperationException"
    group = f"arn:aws:logs:{REGION}:{account.account_id}:log-group:x"
    assert code(CloudWatchLogsLogGroupArn=group) == "CloudWatchLogsDeliveryUnavailableException"
    both = {"IsMultiRegionTrail": True, "IncludeGlobalServiceEvents": False}
    assert code(**both) == "InvalidParameterCombinationException"
    assert code(IsOrganizationTrail=True) == "OrganizationsNotInUseException"

    # A bucket whose owner does not let CloudTrail in, or lets in another trail only.
    closed = trails.new_bucket(
        other,
        document(
            {**allow("s3:GetObject"), "Principal": CLOUDTRAIL, "Resource": "arn:aws:s3:::logs-*/*"}
        ).replace("logs-*", f"logs-{other.account_id}-{len(trails.buckets)}"),
    )
    assert code(S3BucketName=closed) == "InsufficientS3BucketPolicyException"
    shared = trails.new_bucket(other)
    trails.s3.client(other.root).put_bucket_policy(
        Bucket=shared, Policy=bucket_policy(shared, **{"aws:SourceAccount": other.account_id})
    )
    assert code(S3BucketName=shared) == "InsufficientS3BucketPolicyException"

    client.create_trail(Name="one", S3BucketName=bucket)
    assert code() == "TrailAlreadyExistsException"
    for number in range(2, 6):
        client.create_trail(Name=f"trail-{number}", S3BucketName=bucket)
    assert code(Name="six") == "MaximumNumberOfTrailsExceededException"
    arn = f"arn:aws:cloudtrail:{REGION}:{account.account_id}:trail/none"
    assert refused(client.update_trail, Name="none")[1] == "TrailNotFoundException"
    assert refused(client.start_logging, Name=arn)[1] == "TrailNotFoundException"
    assert refused(client.get_trail, Name="arn:aws:iam::1:user/x")[1] == "CloudTrailARNInvalidException"
    reserved = [{"Key": "aws:x", "Value": "y"}]
    assert (
        refused(client.add_tags, ResourceId=arn[:-4] + "one", TagsList=reserved)[1]
        == "InvalidTagParameterException"
    )
    assert refused(client.list_tags, ResourceIdList=[arn])[1] == "ResourceNotFoundException"
    assert refused(client.list_public_keys, StartTime=2, EndTime=1)[1] == "InvalidTimeRangeException"
    named = {"TrailName": "one"}
    whole = [{"DataResources": [{"Type": "AWS::S3::Object", "Values": ["arn:aws:s3:::logs"]}]}]
    assert (
        refused(client.put_event_selectors, **named, EventSelectors=whole)[1]
        == "InvalidEventSelectorsException"
    )
    assert refused(client.put_event_selectors, **named)[1] == "InvalidEventSelectorsException"


@pytest.mark.parametrize("server", ["sqlite"], indirect=True)
def test_where_nothing_is_delivered_there_are_no_trails(server: Server, account: Account) -> None:
    client = server.client("cloudtrail", account.root)
    assert refused(client.create_trail, Name="one", S3BucketName="logs")[1] == "UnsupportedOperationException"
    assert client.describe_trails()["trailList"] == []


@sqlite_only
def test_each_operation_needs_its_permission(trails: Trails) -> None:
    account = trails.server.new_account()
    bucket = trails.new_bucket(account)
    client = started(trails, account, bucket)
    arn = client.get_trail(Name="all")["Trail"]["TrailARN"]
    keys = new_user(
        trails.server, account, "reader", allow("cloudtrail:GetTrail", on=arn), allow("cloudtrail:ListTrails")
    )
    reader = trails.server.client("cloudtrail", keys)
    assert reader.get_trail(Name="all")["Trail"]["Name"] == "all"
    assert len(reader.list_trails()["Trails"]) == 1
    denied = [
        refused(reader.create_trail, Name="more", S3BucketName=bucket),
        refused(reader.update_trail, Name="all"),
        refused(reader.delete_trail, Name="all"),
        refused(reader.describe_trails),
        refused(reader.get_trail, Name="other"),
        refused(reader.get_trail_status, Name="all"),
        refused(reader.start_logging, Name="all"),
        refused(reader.stop_logging, Name="all"),
        refused(reader.put_event_selectors, TrailName="all", EventSelectors=[{}]),
        refused(reader.get_event_selectors, TrailName="all"),
        refused(reader.get_insight_selectors, TrailName="all"),
        refused(reader.add_tags, ResourceId=arn, TagsList=[{"Key": "a"}]),
        refused(reader.remove_tags, ResourceId=arn, TagsList=[{"Key": "a"}]),
        refused(reader.list_tags, ResourceIdList=[arn]),
        refused(reader.list_public_keys),
        refused(reader.lookup_events),
    ]
    assert {one[1] for one in denied} == {"AccessDeniedException"}
    nobody = trails.server.new_account()
    foreign = trails.server.client("cloudtrail", nobody.root)
    assert refused(foreign.get_trail, Name=arn)[1] == "TrailNotFoundException"
    assert foreign.list_trails()["Trails"] == []
    nothing = trails.server.client("cloudtrail", new_user(trails.server, account, "nothing"))
    assert refused(nothing.list_trails)[1] == "AccessDeniedException"


@sqlite_only
def test_a_trail_delivers_what_its_selectors_say(trails: Trails) -> None:
    account = trails.server.new_account()
    writes, data = trails.new_bucket(account), trails.new_bucket(account)
    client = trails.server.client("cloudtrail", account.root)
    client.create_trail(Name="writes", S3BucketName=writes, IsMultiRegionTrail=True)
    client.put_event_selectors(TrailName="writes", EventSelectors=[{"ReadWriteType": "WriteOnly"}])
    client.create_trail(Name="data", S3BucketName=data, IsMultiRegionTrail=True)
    objects = {"Field": "resources.ARN", "StartsWith": [f"arn:aws:s3:::{writes}/seen"]}
    fields = [
        {"Field": "eventCategory", "Equals": ["Data"]},
        {"Field": "resources.type", "Equals": ["AWS::S3::Object"]},
        {"Field": "eventName", "NotEquals": ["DeleteObject"]},
        objects,
    ]
    client.put_event_selectors(
        TrailName="data", AdvancedEventSelectors=[{"Name": "x", "FieldSelectors": fields}]
    )
    kept = client.get_event_selectors(TrailName="data")
    assert kept["AdvancedEventSelectors"][0]["FieldSelectors"][3]["StartsWith"] == objects["StartsWith"]
    for name in ("writes", "data"):
        client.start_logging(Name=name)

    iam = trails.elsewhere("iam", account, "us-east-1")
    iam.list_users()
    iam.create_user(UserName="ann")
    s3 = trails.s3.client(account.root)
    s3.put_object(Bucket=writes, Key="seen/1", Body=b"1")
    s3.put_object(Bucket=writes, Key="unseen/1", Body=b"1")
    s3.delete_object(Bucket=writes, Key="seen/1")
    s3.put_object(Bucket=writes, Key="seen/last", Body=b"1")
    iam.delete_user(UserName="ann")
    eventually(lambda: "DeleteUser" in trails.names(writes))
    eventually(lambda: len(trails.records(data)) == 2)
    time.sleep(1.5)
    assert {"CreateUser", "DeleteUser", "StartLogging"} <= set(trails.names(writes))
    assert not {"ListUsers", "PutObject"} & set(trails.names(writes))
    assert [key for key in trails.keys(writes) if "/us-east-1/" in key]
    keys = [one["requestParameters"]["key"] for one in trails.records(data)]
    assert sorted(keys) == ["seen/1", "seen/last"]
    assert {one["eventName"] for one in trails.records(data)} == {"PutObject"}


@sqlite_only
def test_an_organization_trail_has_the_records_of_all_members(trails: Trails) -> None:
    manager, member = trails.server.new_account(), trails.server.new_account()
    bucket = trails.new_bucket(manager)
    client = trails.server.client("cloudtrail", manager.root)
    organizations = trails.server.client("organizations", manager.root)
    organizations.create_organization(FeatureSet="ALL")
    theirs = trails.server.client("organizations", member.root)
    invitation = organizations.invite_account_to_organization(
        Target={"Id": member.account_id, "Type": "ACCOUNT"}
    )
    theirs.accept_handshake(HandshakeId=invitation["Handshake"]["Id"])
    wanted = {"Name": "everyone", "S3BucketName": bucket, "IsOrganizationTrail": True}
    assert refused(client.create_trail, **wanted)[1] == "CloudTrailAccessNotEnabledException"
    organizations.enable_aws_service_access(ServicePrincipal="cloudtrail.amazonaws.com")
    of_member = trails.server.client("cloudtrail", member.root)
    assert refused(of_member.create_trail, **wanted)[1] == "NotOrganizationMasterAccountException"
    arn = client.create_trail(**wanted, EnableLogFileValidation=True)["TrailARN"]
    client.start_logging(Name="everyone")
    trails.server.client("iam", member.root).create_user(UserName="ann")
    organization_id = organizations.describe_organization()["Organization"]["Id"]
    folder = f"AWSLogs/{organization_id}/{member.account_id}/CloudTrail"
    eventually(lambda: trails.keys(bucket, f"{folder}/"))
    eventually(lambda: trails.keys(bucket, f"{folder}-Digest/"))
    status, text = trails.validate(manager, arn, "--account-id", member.account_id)
    assert status == 0 and "log files valid" in text, text
    assert [one["Name"] for one in of_member.describe_trails()["trailList"]] == ["everyone"]
    assert refused(of_member.stop_logging, Name=arn)[1] == "NotOrganizationMasterAccountException"


@sqlite_only
def test_nothing_is_lost_or_doubled_where_the_broker_is_killed_and_the_bucket_is_closed(
    trails: Trails,
) -> None:
    account = trails.server.new_account()
    bucket = trails.new_bucket(account)
    client = started(trails, account, bucket, EnableLogFileValidation=True)
    arn = client.get_trail(Name="all")["Trail"]["TrailARN"]
    iam, s3 = trails.server.client("iam", account.root), trails.s3.client(account.root)
    iam.create_user(UserName="user-0")
    eventually(lambda: trails.names(bucket).count("CreateUser") == 1)
    s3.delete_bucket_policy(Bucket=bucket)
    for number in range(1, 4):
        iam.create_user(UserName=f"user-{number}")
    status = eventually(lambda: _failed(client.get_trail_status(Name="all")))
    assert (status["LatestDeliveryError"], status["LatestDeliveryAttemptSucceeded"]) == ("AccessDenied", "")
    s3.put_bucket_policy(Bucket=bucket, Policy=bucket_policy(bucket))
    trails.server.stop(signal.SIGKILL)
    trails.server.start()
    for number in range(4, 6):
        iam.create_user(UserName=f"user-{number}")
        time.sleep(0.3)
        trails.server.stop(signal.SIGKILL)
        trails.server.start()
    eventually(lambda: trails.names(bucket).count("CreateUser") == 6)
    assert "LatestDeliveryError" not in client.get_trail_status(Name="all")
    delivered = [one["eventID"] for one in trails.records(bucket)]
    assert len(set(delivered)) == len(delivered)
    eventually(lambda: _are_listed(trails, bucket))
    status, text = trails.validate(account, arn)
    assert status == 0 and "INVALID" not in text, text


def _failed(status: dict[str, Any]) -> dict[str, Any] | None:
    return status if "LatestDeliveryError" in status else None


@sqlite_only
def test_a_folder_is_copied_to_a_store_with_its_signatures(trails: Trails, tmp_path: Path) -> None:
    folder = tmp_path / "delivered"
    folder.mkdir()
    settings = {
        "BROKER_TRAILS_FOLDER": str(folder),
        "BROKER_TRAILS_DELIVERY_SECONDS": "1",
        "BROKER_TRAILS_DIGEST_SECONDS": "1",
    }
    account = trails.server.new_account()
    bucket = trails.new_bucket(account)
    other = Server(
        tmp_path,
        trails.server.store,
        environment={
            **trails.server.environment,
            **settings,
            "BROKER_TRAILS_STORE_URL": "",
            "BROKER_KEYS_MASTER_KEY_FILE": str(trails.server.folder / "master.key"),
        },
    )
    trails.server.stop()
    try:
        with other.running():
            client = other.client("cloudtrail", account.root)
            arn = client.create_trail(Name="all", S3BucketName=bucket, EnableLogFileValidation=True)[
                "TrailARN"
            ]
            client.start_logging(Name="all")
            eventually(
                lambda: (
                    list(folder.rglob("*CloudTrail-Digest_*.json.gz"))
                    and list(folder.rglob("*_CloudTrail_*.json.gz"))
                )
            )
            time.sleep(2.5)
    finally:
        trails.server.start()
    remote = f":s3,provider=Other,endpoint='http://{trails.s3.store_address}',access_key_id={STORE_KEYS.access_key_id},secret_access_key={STORE_KEYS.secret_access_key}:{bucket}"
    done = subprocess.run(
        [RCLONE, "copy", "--metadata", folder / bucket, remote],
        env={**os.environ, "RCLONE_CONFIG": str(tmp_path / "none.conf")},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    status, text = trails.validate(account, arn)
    assert status == 0 and "digest files valid" in text and "INVALID" not in text, text
