"""The gateway with unmodified clients, in front of a real store that knows nothing of accounts."""

import gzip
import io
import json
import os
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path
from typing import Any

import obstore
import pytest
from boto3.s3.transfer import TransferConfig
from botocore.exceptions import ClientError
from obstore.store import S3Store
from playwright.sync_api import Browser
from playwright.sync_api import Error as PageError

from broker.storage.organization_records import Organization, OrganizationalUnit
from tests.e2e.conftest import Account, Keys, Server
from tests.e2e.gateway import S3, program
from tests.e2e.scenes import (
    allow,
    assume,
    deny,
    document,
    new_role,
    new_user,
    organization,
    records_of,
    refused,
    trust,
)

MIB = 1 << 20
PARTS = TransferConfig(multipart_threshold=8 * MIB, multipart_chunksize=8 * MIB, max_concurrency=4)


@pytest.fixture(scope="module")
def s3(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3]:
    folder = tmp_path_factory.mktemp("gateway")
    with (
        Server(folder, f"sqlite:{folder / 'broker.db'}").running() as server,
        S3(
            server, folder, {"BROKER_GATEWAY_JOURNAL_DATA_EVENTS": "true", "BROKER_GATEWAY_ANONYMOUS": "true"}
        ).running() as running,
    ):
        yield running


@pytest.fixture(scope="module")
def owner(s3: S3) -> Account:
    return s3.server.new_account()


@pytest.fixture(scope="module")
def other(s3: S3) -> Account:
    return s3.server.new_account()


@pytest.fixture(scope="module")
def bucket(s3: S3, owner: Account) -> str:
    root = s3.client(owner.root)
    root.create_bucket(Bucket="photos")
    root.delete_public_access_block(Bucket="photos")  # some of these tests make it public
    return "photos"


def arn(bucket: str, key: str = "") -> str:
    return f"arn:aws:s3:::{bucket}/{key}" if key else f"arn:aws:s3:::{bucket}"


# the whole way, on each engine


def test_a_bucket_belongs_to_the_account_that_made_it(server: Server, tmp_path: Path) -> None:
    account, stranger = server.new_account(), server.new_account()
    with S3(server, tmp_path).running() as s3:
        root, foreign = s3.client(account.root), s3.client(stranger.root)
        root.create_bucket(Bucket="ours")
        root.put_object(Bucket="ours", Key="a/b c+é.txt", Body=b"hello")
        assert root.get_object(Bucket="ours", Key="a/b c+é.txt")["Body"].read() == b"hello"
        assert [one["Key"] for one in root.list_objects_v2(Bucket="ours")["Contents"]] == ["a/b c+é.txt"]
        assert [one["Name"] for one in root.list_buckets()["Buckets"]] == ["ours"]
        assert foreign.list_buckets()["Buckets"] == []
        assert refused(foreign.get_object, Bucket="ours", Key="a/b c+é.txt")[:2] == (403, "AccessDenied")
        assert refused(foreign.create_bucket, Bucket="ours")[:2] == (409, "BucketAlreadyExists")
        assert refused(root.create_bucket, Bucket="ours")[:2] == (409, "BucketAlreadyOwnedByYou")
        assert refused(root.delete_bucket, Bucket="ours")[:2] == (409, "BucketNotEmpty")
        root.delete_object(Bucket="ours", Key="a/b c+é.txt")
        root.delete_bucket(Bucket="ours")
        assert root.list_buckets()["Buckets"] == []
        foreign.create_bucket(Bucket="ours")  # the name is free again


# who may what


def test_each_layer_can_deny(s3: S3, owner: Account, bucket: str) -> None:
    everything = allow("s3:*")
    root = s3.client(owner.root)
    root.put_object(Bucket=bucket, Key="layers/one", Body=b"1")
    iam = s3.server.client("iam", owner.root)
    user = new_user(s3.server, owner, "layered", everything)
    client = s3.client(user)

    def reads() -> Any:
        return client.get_object(Bucket=bucket, Key="layers/one")["Body"].read()

    assert reads() == b"1"
    boundary = iam.create_policy(PolicyName="bound", PolicyDocument=document(allow("s3:List*")))["Policy"][
        "Arn"
    ]
    iam.put_user_permissions_boundary(UserName="layered", PermissionsBoundary=boundary)
    assert "boundary" in refused(client.get_object, Bucket=bucket, Key="layers/one")[2]
    iam.delete_user_permissions_boundary(UserName="layered")
    iam.put_user_policy(
        UserName="layered",
        PolicyName="deny",
        PolicyDocument=document(deny("s3:GetObject", on=arn(bucket, "layers/*"))),
    )
    assert "explicit deny" in refused(client.get_object, Bucket=bucket, Key="layers/one")[2]
    iam.delete_user_policy(UserName="layered", PolicyName="deny")
    root.put_bucket_policy(
        Bucket=bucket,
        Policy=document({**deny("s3:GetObject", on=arn(bucket, "layers/*")), "Principal": {"AWS": "*"}}),
    )
    assert "resource-based policy" in refused(client.get_object, Bucket=bucket, Key="layers/one")[2]
    root.delete_bucket_policy(Bucket=bucket)
    assert reads() == b"1"


def test_the_record_names_the_layer_that_denied(s3: S3, owner: Account, bucket: str) -> None:
    """SCP, RCP, bucket policy, identity policy, boundary and session policy, one after the other."""
    iam, root = s3.server.client("iam", owner.root), s3.client(owner.root)
    root.put_object(Bucket=bucket, Key="each/layer", Body=b"1")
    user = new_user(s3.server, owner, "each", allow("s3:*", "sts:AssumeRole"))
    role = new_role(s3.server, owner, "each", trust(owner.account_id), allow("s3:*"))
    denial = deny("s3:GetObject", on=arn(bucket, "each/*"))

    def layer_of(client: Any, place: OrganizationalUnit | None = None) -> str:
        record = Organization(
            organization_id="o-gateway",
            management_account_id="999999999999",
            accounts={owner.account_id: place} if place else {},
            features=("SERVICE_CONTROL_POLICY", "RESOURCE_CONTROL_POLICY"),
        )
        with organization(s3.server, record):
            answer = refused_answer(client.get_object, Bucket=bucket, Key="each/layer")
        (written,) = records_of(s3.server, answer["ResponseMetadata"]["RequestId"])
        assert written["errorCode"] == "AccessDenied"
        return str(written["errorMessage"])

    client = s3.client(user)
    scp = OrganizationalUnit(
        parent=None, service_control_policies={"all": document(allow("*")), "guard": document(denial)}
    )
    assert "explicit deny in a service control policy" in layer_of(client, scp)
    guard = {**denial, "Principal": "*"}
    everything = {**allow("*"), "Principal": "*"}
    rcp = OrganizationalUnit(
        parent=None,
        service_control_policies={"all": document(allow("*"))},
        resource_control_policies={"all": document(everything), "guard": document(guard)},
    )
    assert "explicit deny in a resource control policy" in layer_of(client, rcp)
    root.put_bucket_policy(Bucket=bucket, Policy=document(guard))
    assert "explicit deny in a resource-based policy" in layer_of(client)
    root.delete_bucket_policy(Bucket=bucket)
    session = s3.client(assume(s3.server, user, role, Policy=document(allow("s3:PutObject"))))
    assert "no session policy allows" in layer_of(session)
    bound = iam.create_policy(PolicyName="each", PolicyDocument=document(allow("s3:List*")))["Policy"]["Arn"]
    iam.put_user_permissions_boundary(UserName="each", PermissionsBoundary=bound)
    assert "no permissions boundary allows" in layer_of(client)
    iam.delete_user_permissions_boundary(UserName="each")
    iam.put_user_policy(UserName="each", PolicyName="scene", PolicyDocument=document(allow("s3:PutObject")))
    assert "no identity-based policy allows" in layer_of(client)


def refused_answer(call: Any, **arguments: Any) -> dict[str, Any]:
    with pytest.raises(ClientError) as refusal:
        call(**arguments)
    return dict(refusal.value.response)


def test_a_session_policy_limits_a_vended_session_to_its_prefix(s3: S3, owner: Account, bucket: str) -> None:
    """What catalogs of tables do for their engines: Polaris, Lakekeeper, Trino."""
    root = s3.client(owner.root)
    user = new_user(s3.server, owner, "catalog", allow("sts:AssumeRole"))
    role = new_role(s3.server, owner, "tables", trust(owner.account_id), allow("s3:*", on="*"))
    policy = document(
        allow("s3:GetObject", "s3:PutObject", on=arn(bucket, "warehouse/t1/*")),
        allow("s3:ListBucket", on=arn(bucket), Condition={"StringLike": {"s3:prefix": "warehouse/t1/*"}}),
    )
    vended = s3.client(assume(s3.server, user, role, Policy=policy))
    vended.put_object(Bucket=bucket, Key="warehouse/t1/data", Body=b"rows")
    assert vended.get_object(Bucket=bucket, Key="warehouse/t1/data")["Body"].read() == b"rows"
    assert vended.list_objects_v2(Bucket=bucket, Prefix="warehouse/t1/")["KeyCount"] == 1
    root.put_object(Bucket=bucket, Key="warehouse/t2/data", Body=b"others")
    assert refused(vended.get_object, Bucket=bucket, Key="warehouse/t2/data")[:2] == (403, "AccessDenied")
    assert refused(vended.list_objects_v2, Bucket=bucket)[:2] == (403, "AccessDenied")
    assert refused(vended.list_objects_v2, Bucket=bucket, Prefix="warehouse/")[:2] == (403, "AccessDenied")
    copy = {"Bucket": bucket, "Key": "warehouse/t1/copy", "CopySource": f"{bucket}/warehouse/t2/data"}
    assert "s3:GetObject" in refused(vended.copy_object, **copy)[2]


def test_a_revoked_session_and_unknown_keys_are_refused_with_s3s_codes(
    s3: S3, owner: Account, bucket: str
) -> None:
    user = new_user(s3.server, owner, "revoker", allow("sts:AssumeRole"))
    role = new_role(s3.server, owner, "revoked", trust(owner.account_id), allow("s3:*"))
    keys = assume(s3.server, user, role)
    client = s3.client(keys)
    client.list_objects_v2(Bucket=bucket)
    iam = s3.server.client("iam", owner.root)
    iam.delete_role_policy(RoleName="revoked", PolicyName="scene")
    iam.delete_role(RoleName="revoked")
    assert refused(client.list_objects_v2, Bucket=bucket)[:2] == (400, "InvalidToken")
    unknown = Keys("AKIAIOSFODNN7EXAMPLE", "secret")
    assert refused(s3.client(unknown).list_buckets)[:2] == (403, "InvalidAccessKeyId")
    wrong = Keys(owner.root.access_key_id, "wrong")
    assert refused(s3.client(wrong).list_buckets)[:2] == (403, "SignatureDoesNotMatch")
    old = s3.client(owner.root, signature_version="s3")
    assert refused(old.list_buckets)[:2] == (400, "InvalidRequest")


def test_a_bucket_policy_gives_other_accounts_and_everybody_what_it_says(
    s3: S3, owner: Account, other: Account, bucket: str
) -> None:
    root, foreign, nobody = s3.client(owner.root), s3.client(other.root), s3.client(None)
    root.put_object(Bucket=bucket, Key="shared/one", Body=b"shared")
    root.put_object(Bucket=bucket, Key="public/one", Body=b"public")
    shared = {**allow("s3:GetObject", on=arn(bucket, "shared/*")), "Principal": {"AWS": other.account_id}}
    public = {**allow("s3:GetObject", on=arn(bucket, "public/*")), "Principal": "*"}
    root.put_bucket_policy(Bucket=bucket, Policy=document(shared, public))
    assert json.loads(root.get_bucket_policy(Bucket=bucket)["Policy"]) == json.loads(document(shared, public))
    assert root.get_bucket_policy_status(Bucket=bucket)["PolicyStatus"] == {"IsPublic": True}
    assert foreign.get_object(Bucket=bucket, Key="shared/one")["Body"].read() == b"shared"
    assert urllib.request.urlopen(f"{s3.url}/{bucket}/public/one").read() == b"public"
    with pytest.raises(urllib.error.HTTPError, match="403"):
        urllib.request.urlopen(f"{s3.url}/{bucket}/shared/one")
    assert refused(foreign.put_object, Bucket=bucket, Key="shared/two", Body=b"")[:2] == (403, "AccessDenied")
    owners = {**allow("s3:*", on=arn(bucket)), "Principal": {"AWS": other.account_id}}
    root.put_bucket_policy(Bucket=bucket, Policy=document(owners))
    assert refused(foreign.get_bucket_policy, Bucket=bucket)[:2] == (405, "MethodNotAllowed")
    assert refused(root.put_bucket_policy, Bucket=bucket, Policy="{}")[:2] == (400, "MalformedPolicy")
    root.delete_bucket_policy(Bucket=bucket)
    assert refused(root.get_bucket_policy, Bucket=bucket)[:2] == (404, "NoSuchBucketPolicy")
    assert refused(nobody.get_object, Bucket=bucket, Key="public/one")[:2] == (403, "AccessDenied")


def test_a_bucket_policy_may_ask_which_page_links_to_an_object(s3: S3, owner: Account, bucket: str) -> None:
    """Amazon S3 User Guide, "Managing access based on HTTP or HTTPS requests": aws:Referer."""
    root = s3.client(owner.root)
    root.put_object(Bucket=bucket, Key="linked/one", Body=b"linked")
    shop = {"StringLike": {"aws:Referer": "https://shop.example/*"}}
    linked = {**allow("s3:GetObject", on=arn(bucket, "linked/*")), "Principal": "*", "Condition": shop}
    root.put_bucket_policy(Bucket=bucket, Policy=document(linked))

    def read(**headers: str) -> bytes:
        asked = urllib.request.Request(f"{s3.url}/{bucket}/linked/one", headers=headers)
        return urllib.request.urlopen(asked).read()

    assert read(Referer="https://shop.example/a") == b"linked"
    for headers in ({}, {"Referer": "https://elsewhere.example/"}):
        with pytest.raises(urllib.error.HTTPError, match="403"):
            read(**headers)
    root.delete_bucket_policy(Bucket=bucket)


def test_a_public_access_block_refuses_public_policies_and_restricts_buckets_that_have_one(
    s3: S3, owner: Account, other: Account
) -> None:
    root, foreign, nobody = s3.client(owner.root), s3.client(other.root), s3.client(None)
    root.create_bucket(Bucket="blocked")
    root.put_object(Bucket="blocked", Key="one", Body=b"1")
    configuration = "PublicAccessBlockConfiguration"
    names = ("BlockPublicAcls", "IgnorePublicAcls", "BlockPublicPolicy", "RestrictPublicBuckets")
    found = root.get_public_access_block(Bucket="blocked")[configuration]
    assert found == dict.fromkeys(names, True)  # a new bucket's, as on AWS
    public = document({**allow("s3:GetObject", on=arn("blocked", "*")), "Principal": "*"})
    status, code, message = refused(root.put_bucket_policy, Bucket="blocked", Policy=public)
    assert (status, code, "BlockPublicPolicy" in message) == (403, "AccessDenied", True)
    some = document({**allow("s3:GetObject", on=arn("blocked", "*")), "Principal": {"AWS": other.account_id}})
    root.put_bucket_policy(Bucket="blocked", Policy=some)
    assert foreign.get_object(Bucket="blocked", Key="one")["Body"].read() == b"1"

    root.put_public_access_block(Bucket="blocked", **{configuration: {"RestrictPublicBuckets": True}})
    root.put_bucket_policy(Bucket="blocked", Policy=public)
    assert root.get_bucket_policy_status(Bucket="blocked")["PolicyStatus"] == {"IsPublic": True}
    for client in (foreign, nobody):
        assert refused(client.get_object, Bucket="blocked", Key="one")[:2] == (403, "AccessDenied")
    assert root.get_object(Bucket="blocked", Key="one")["Body"].read() == b"1"

    root.delete_public_access_block(Bucket="blocked")
    code = refused(root.get_public_access_block, Bucket="blocked")[1]
    assert code == "NoSuchPublicAccessBlockConfiguration"
    for client in (foreign, nobody):
        assert client.get_object(Bucket="blocked", Key="one")["Body"].read() == b"1"


def test_a_bucket_of_the_store_that_nobody_owns_is_not_there(s3: S3, owner: Account) -> None:
    s3.store.create_bucket(Bucket="stray")
    s3.store.put_object(Bucket="stray", Key="secret", Body=b"secret")
    root = s3.client(owner.root)
    assert refused(root.get_object, Bucket="stray", Key="secret")[:2] == (404, "NoSuchBucket")
    assert refused(root.list_objects_v2, Bucket="stray")[:2] == (404, "NoSuchBucket")
    assert refused(root.create_bucket, Bucket="stray")[:2] == (409, "BucketAlreadyExists")
    assert "stray" not in [one["Name"] for one in root.list_buckets()["Buckets"]]


def test_keys_are_deleted_one_by_one(s3: S3, owner: Account, bucket: str) -> None:
    root = s3.client(owner.root)
    for key in ("mine/1", "mine/2 & <3>", "theirs/1"):
        root.put_object(Bucket=bucket, Key=key, Body=b"")
    user = s3.client(
        new_user(s3.server, owner, "deleter", allow("s3:DeleteObject", on=arn(bucket, "mine/*")))
    )
    wanted = [{"Key": key} for key in ("mine/1", "theirs/1", "mine/2 & <3>")]
    answer = user.delete_objects(Bucket=bucket, Delete={"Objects": wanted})
    assert sorted(one["Key"] for one in answer["Deleted"]) == ["mine/1", "mine/2 & <3>"]
    assert [(one["Key"], one["Code"]) for one in answer["Errors"]] == [("theirs/1", "AccessDenied")]
    left = root.list_objects_v2(Bucket=bucket, Prefix="theirs/")["Contents"]
    assert [one["Key"] for one in left] == ["theirs/1"]


def test_whether_an_object_exists_is_shown_only_to_who_may_list(s3: S3, owner: Account, bucket: str) -> None:
    root = s3.client(owner.root)
    assert refused(root.get_object, Bucket=bucket, Key="missing")[:2] == (404, "NoSuchKey")
    assert refused(root.head_object, Bucket=bucket, Key="missing")[0] == 404
    reader = s3.client(new_user(s3.server, owner, "blind", allow("s3:GetObject")))
    assert refused(reader.get_object, Bucket=bucket, Key="missing")[:2] == (403, "AccessDenied")
    assert refused(reader.head_object, Bucket=bucket, Key="missing")[0] == 403


def test_what_a_policy_says_of_existing_tags_is_refused_where_they_are_not_known(
    s3: S3, owner: Account, bucket: str
) -> None:
    s3.client(owner.root).put_object(Bucket=bucket, Key="tagged", Body=b"")
    secret = {"StringEquals": {"s3:ExistingObjectTag/secret": "yes"}}
    reader = new_user(s3.server, owner, "tags", allow("s3:GetObject"), deny("s3:GetObject", Condition=secret))
    assert refused(s3.client(reader).get_object, Bucket=bucket, Key="tagged")[:2] == (403, "AccessDenied")
    assert "s3:existingobjecttag/secret" in s3.log


def test_the_journal_has_data_events_where_the_settings_say_so(s3: S3, owner: Account, bucket: str) -> None:
    s3.client(owner.root).put_object(Bucket=bucket, Key="journalled", Body=b"x")
    records = [json.loads(line) for line in (s3.folder / "audit.jsonl").read_text().splitlines()]
    found = [one for one in records if (one.get("requestParameters") or {}).get("key") == "journalled"]
    assert [(one["eventName"], one["eventCategory"], one.get("managementEvent", False)) for one in found] == [
        ("PutObject", "Data", False)
    ]
    assert found[0]["userIdentity"]["type"] == "Root"
    made = [one for one in records if one["eventName"] == "CreateBucket"]
    assert made[0]["eventCategory"] == "Management"


# bodies


def test_bodies_of_any_size_arrive_whole_and_the_memory_stays_flat(
    s3: S3, owner: Account, bucket: str
) -> None:
    root = s3.client(owner.root)
    for size in (0, 1, 65_536, 5 * MIB):
        body = os.urandom(size)
        root.put_object(Bucket=bucket, Key=f"size/{size}", Body=body)
        assert root.get_object(Bucket=bucket, Key=f"size/{size}")["Body"].read() == body
    before = s3.resident()
    body = os.urandom(MIB) * 64
    root.upload_fileobj(io.BytesIO(body), bucket, "size/large", Config=PARTS)
    taken = io.BytesIO()
    root.download_fileobj(bucket, "size/large", taken, Config=PARTS)
    assert sha256(taken.getvalue()).digest() == sha256(body).digest()
    assert s3.resident() - before < 24 * 1024
    part = root.get_object(Bucket=bucket, Key="size/large", Range="bytes=5-9")
    assert (part["Body"].read(), part["ContentRange"]) == (body[5:10], f"bytes 5-9/{len(body)}")
    etag = root.head_object(Bucket=bucket, Key="size/large")["ETag"]
    assert refused(root.get_object, Bucket=bucket, Key="size/large", IfNoneMatch=etag)[0] == 304


def test_a_slow_reader_does_not_make_the_gateway_read_ahead(s3: S3, owner: Account, bucket: str) -> None:
    root = s3.client(owner.root)
    root.upload_fileobj(io.BytesIO(b"x" * (48 * MIB)), bucket, "slow", Config=PARTS)
    before = s3.resident()
    stream = root.get_object(Bucket=bucket, Key="slow")["Body"]
    stream.read(1)
    time.sleep(1)
    assert s3.resident() - before < 20 * 1024
    stream.close()


@pytest.mark.parametrize("algorithm", ["CRC32", "CRC32C", "CRC64NVME", "SHA1", "SHA256"])
def test_checksums_are_checked(s3: S3, owner: Account, bucket: str, algorithm: str) -> None:
    root = s3.client(owner.root)
    root.put_object(Bucket=bucket, Key="checksum", Body=b"body", ChecksumAlgorithm=algorithm)
    wrong = {f"Checksum{algorithm}": "AAAAAA=="}
    code = refused(root.put_object, Bucket=bucket, Key="checksum", Body=b"other", **wrong)[1]
    assert code == "BadDigest"
    assert root.get_object(Bucket=bucket, Key="checksum")["Body"].read() == b"body"


def test_presigned_urls_read_and_write_until_they_expire(s3: S3, owner: Account, bucket: str) -> None:
    root = s3.client(owner.root)
    place = {"Bucket": bucket, "Key": "pre/signed +é"}
    put = root.generate_presigned_url("put_object", Params=place, ExpiresIn=60)
    request = urllib.request.Request(put, data=b"presigned", method="PUT")
    assert urllib.request.urlopen(request).status == 200
    # Not one for both: times are whole seconds, so one of a second may end a moment after it was signed.
    get, brief = (
        root.generate_presigned_url(
            "get_object", Params={**place, "ResponseContentType": "text/x"}, ExpiresIn=seconds
        )
        for seconds in (60, 1)
    )
    assert urllib.request.urlopen(get).read() == b"presigned"
    time.sleep(1.1)
    with pytest.raises(urllib.error.HTTPError) as refusal:
        urllib.request.urlopen(brief)
    assert b"Request has expired" in refusal.value.read()
    with pytest.raises(urllib.error.HTTPError, match="403"):
        urllib.request.urlopen(get.replace("pre/signed", "tagged"))


def test_a_browser_uploads_by_a_form_that_a_session_has_signed(
    s3: S3, owner: Account, bucket: str, browser: Browser, tmp_path: Path
) -> None:
    user = new_user(s3.server, owner, "poster", allow("sts:AssumeRole"))
    only_forms = {"StringEquals": {"s3:authType": "POST"}}
    role = new_role(
        s3.server, owner, "posting", trust(owner.account_id), allow("s3:PutObject", Condition=only_forms)
    )
    keys = assume(s3.server, user, role)
    post = s3.client(keys).generate_presigned_post(
        bucket,
        "forms/${filename}",
        {"success_action_status": "201"},
        [{"success_action_status": "201"}, ["content-length-range", 1, 4 * MIB]],
    )
    inputs = "".join(
        f'<input type="hidden" name="{name}" value="{value}">' for name, value in post["fields"].items()
    )
    sent = tmp_path / "é 1.bin"
    sent.write_bytes(os.urandom(3 * MIB))
    with browser.new_context() as context:
        page = context.new_page()
        page.set_content(
            f'<form method="post" enctype="multipart/form-data" action="{post["url"]}">{inputs}'
            '<input type="file" name="file"><button>Send</button></form>'
        )
        page.set_input_files("input[type=file]", sent)
        with page.expect_response(lambda answer: answer.request.method == "POST") as answered:
            page.click("button")
        assert answered.value.status == 201
    stored = s3.client(owner.root).get_object(Bucket=bucket, Key="forms/é 1.bin")["Body"].read()
    assert stored == sent.read_bytes()
    assert refused(s3.client(keys).put_object, Bucket=bucket, Key="forms/two", Body=b"")[0] == 403


def test_a_page_of_another_origin_uploads_and_reads_once_the_bucket_names_its_origin(
    s3: S3, owner: Account, bucket: str, browser: Browser
) -> None:
    root, origin = s3.client(owner.root), s3.server.url  # any page of another port is of another origin
    put = root.generate_presigned_url(
        "put_object", {"Bucket": bucket, "Key": "from/page", "ContentType": "text/plain"}
    )
    get = root.generate_presigned_url("get_object", {"Bucket": bucket, "Key": "from/page"})
    upload = """async url => {
        const sent = await fetch(url, {method: "PUT", body: "hello", headers: {"content-type": "text/plain"}});
        return [sent.status, sent.headers.get("etag") !== null];
    }"""
    with browser.new_context() as context:
        page = context.new_page()
        page.goto(origin)
        with pytest.raises(PageError, match="Failed to fetch"):
            page.evaluate(upload, put)
        assert refused(root.get_bucket_cors, Bucket=bucket)[:2] == (404, "NoSuchCORSConfiguration")
        rule = {
            "AllowedOrigins": [origin],
            "AllowedMethods": ["GET", "PUT"],
            "AllowedHeaders": ["content-*"],
            "ExposeHeaders": ["ETag"],
        }
        root.put_bucket_cors(Bucket=bucket, CORSConfiguration={"CORSRules": [rule]})
        assert root.get_bucket_cors(Bucket=bucket)["CORSRules"] == [rule]
        assert page.evaluate(upload, put) == [200, True]
        assert page.evaluate("async url => (await fetch(url)).text()", get) == "hello"
        # A rule is no permission: the page reads that it is refused.
        status = page.evaluate("async url => (await fetch(url)).status", f"{s3.url}/{bucket}/from/page")
        assert status == 403
        root.delete_bucket_cors(Bucket=bucket)
        with pytest.raises(PageError, match="Failed to fetch"):
            page.evaluate("url => fetch(url, {cache: 'no-store'})", get)


def test_objects_are_copied_with_what_was_signed(s3: S3, owner: Account, bucket: str) -> None:
    root = s3.client(owner.root)
    root.put_object(Bucket=bucket, Key="from here +", Body=gzip.compress(b"1"), ContentEncoding="gzip")
    root.copy_object(Bucket=bucket, Key="to here", CopySource={"Bucket": bucket, "Key": "from here +"})
    assert gzip.decompress(root.get_object(Bucket=bucket, Key="to here")["Body"].read()) == b"1"


# clients


def environment(s3: S3, keys: Keys) -> dict[str, str]:
    plain = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
    return {
        **plain,
        **keys.environment,
        "AWS_ENDPOINT_URL": s3.url,
        "AWS_REGION": "us-east-1",
        "AWS_EC2_METADATA_DISABLED": "true",
        "RCLONE_CONFIG_GATE_TYPE": "s3",
        "RCLONE_CONFIG_GATE_PROVIDER": "Other",
        "RCLONE_CONFIG_GATE_ENV_AUTH": "true",
        "RCLONE_CONFIG_GATE_ENDPOINT": s3.url,
        "RCLONE_CONFIG": str(s3.folder / "none.conf"),
    }


def run(s3: S3, keys: Keys, *command: str) -> str:
    done = subprocess.run(
        command, env=environment(s3, keys), capture_output=True, text=True, check=False, timeout=120
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_aws_cli_copies_lists_and_removes(
    s3: S3, owner: Account, bucket: str, cli: Path, tmp_path: Path
) -> None:
    sent, back = tmp_path / "sent", tmp_path / "back"
    sent.write_bytes(os.urandom(9 * MIB))
    run(s3, owner.root, str(cli), "s3", "cp", str(sent), f"s3://{bucket}/cli/sent", "--no-progress")
    run(s3, owner.root, str(cli), "s3", "cp", f"s3://{bucket}/cli/sent", str(back), "--no-progress")
    assert back.read_bytes() == sent.read_bytes()
    assert "sent" in run(s3, owner.root, str(cli), "s3", "ls", f"s3://{bucket}/cli/")
    run(s3, owner.root, str(cli), "s3", "rm", "--recursive", f"s3://{bucket}/cli/")
    assert run(s3, owner.root, str(cli), "s3", "ls", f"s3://{bucket}").count("cli/") == 0


def test_rclone_and_s5cmd_copy_and_list(s3: S3, owner: Account, bucket: str, tmp_path: Path) -> None:
    sent = tmp_path / "sent"
    sent.write_bytes(os.urandom(9 * MIB))
    run(s3, owner.root, program("rclone"), "copy", str(sent), f"gate:{bucket}/rclone")
    run(s3, owner.root, program("rclone"), "check", str(tmp_path), f"gate:{bucket}/rclone", "--download")
    run(
        s3,
        owner.root,
        program("s5cmd"),
        "--endpoint-url",
        s3.url,
        "cp",
        str(sent),
        f"s3://{bucket}/s5cmd/sent",
    )
    assert "sent" in run(
        s3, owner.root, program("s5cmd"), "--endpoint-url", s3.url, "ls", f"s3://{bucket}/s5cmd/*"
    )
    run(s3, owner.root, program("s5cmd"), "--endpoint-url", s3.url, "rm", f"s3://{bucket}/s5cmd/*")


def test_the_object_store_of_rusts_data_tools_reads_and_writes(s3: S3, owner: Account, bucket: str) -> None:
    store = S3Store(
        bucket,
        endpoint=s3.url,
        access_key_id=owner.root.access_key_id,
        secret_access_key=owner.root.secret_access_key,
        region="us-east-1",
        client_options={"allow_http": True},
    )
    obstore.put(store, "obstore/one", b"hello")
    obstore.put(store, "obstore/large", b"x" * (12 * MIB))
    obstore.copy(store, "obstore/one", "obstore/two")
    assert bytes(obstore.get(store, "obstore/two").bytes()) == b"hello"
    listed = [one["path"] for one in obstore.list(store, "obstore").collect()]
    assert sorted(listed) == ["obstore/large", "obstore/one", "obstore/two"]
    obstore.delete(store, listed)
    assert obstore.list(store, "obstore").collect() == []
