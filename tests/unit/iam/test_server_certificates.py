from typing import Any

import pytest

from broker.operation import Quotas
from broker.protocol.shapes import iam as shapes
from broker.storage.store import SERVER_CERTIFICATES
from tests.certificates import ENDS, Certified
from tests.unit.simulator.simulating import allow, document

ACCOUNT = "111122223333"
ROOT = Certified("root")
SERVER = Certified("server", ROOT)
MISSING = ("NoSuchEntity", "The Server Certificate with name web cannot be found.")


def upload(name: str = "web", **fields: Any) -> shapes.UploadServerCertificateRequest:
    return shapes.UploadServerCertificateRequest(
        server_certificate_name=name,
        **{"certificate_body": SERVER.pem, "private_key": SERVER.private_pem, **fields},
    )


async def get(iam: Any, name: str = "web") -> Any:
    asked = shapes.GetServerCertificateRequest(server_certificate_name=name)
    return (await iam(asked)).server_certificate


async def test_a_certificate_is_uploaded_and_read_without_its_key(iam: Any) -> None:
    tags = (shapes.Tag(key="team", value="blue"),)
    uploaded = await iam(upload(path="/cloudfront/", certificate_chain=ROOT.pem, tags=tags))
    metadata = uploaded.server_certificate_metadata
    assert metadata.arn == f"arn:aws:iam::{ACCOUNT}:server-certificate/cloudfront/web"
    assert metadata.server_certificate_id.startswith("ASCA")
    assert (metadata.upload_date, metadata.expiration) == (int(iam.now), int(ENDS.timestamp()))
    read = await get(iam, "WEB")
    assert read.server_certificate_metadata == metadata
    assert (read.certificate_body, read.certificate_chain) == (SERVER.pem.strip(), ROOT.pem.strip())
    assert read.tags == uploaded.tags == tags
    stored = await iam.store.transaction().find(SERVER_CERTIFICATES, ACCOUNT, "web")
    assert stored.private_key.reveal() == SERVER.private_pem
    assert SERVER.private_pem not in repr((stored, uploaded, read))


@pytest.mark.parametrize(
    ("fields", "code", "words"),
    [
        ({"certificate_body": "text"}, "MalformedCertificate", "Unable to parse certificate."),
        ({"private_key": "text"}, "MalformedCertificate", "Unable to parse private key"),
        ({"private_key": ROOT.private_pem}, "KeyPairMismatch", "does not match"),
        ({"certificate_chain": "text"}, "MalformedCertificate", "Unable to parse certificate chain."),
        (
            {"certificate_chain": SERVER.pem},
            "MalformedCertificate",
            "The index within the chain of the invalid certificate is: -1",
        ),
    ],
)
async def test_what_no_server_could_use_is_refused(
    iam: Any, fields: dict[str, str], code: str, words: str
) -> None:
    refusal = await iam.refused(upload(**fields))
    assert (refusal[0], words in refusal[1]) == (code, True)
    assert (await iam(shapes.ListServerCertificatesRequest())).server_certificate_metadata_list == ()


async def test_a_name_is_taken_once_and_an_account_has_so_many(iam: Any) -> None:
    await iam(upload())
    refusal = await iam.refused(upload("Web", path="/other/"))
    assert refusal == ("EntityAlreadyExists", "The Server Certificate with name Web already exists.")
    iam.quotas = Quotas(server_certificates=1)
    refusal = await iam.refused(upload("second"))
    assert refusal == ("LimitExceeded", "Cannot exceed quota for ServerCertificatesPerAccount: 1")
    summary = (await iam("GetAccountSummary")).summary_map
    assert (summary["ServerCertificates"], summary["ServerCertificatesQuota"]) == (1, 1)


async def test_certificates_are_listed_by_path_and_paged(iam: Any) -> None:
    for name, path in (("b", "/x/"), ("a", "/x/y/"), ("c", "/")):
        await iam(upload(name, path=path))

    async def names(**fields: Any) -> tuple[list[str], Any]:
        answer = await iam(shapes.ListServerCertificatesRequest(**fields))
        found = [one.server_certificate_name for one in answer.server_certificate_metadata_list]
        return found, answer.marker

    assert await names() == (["a", "b", "c"], None)
    assert await names(path_prefix="/x/y") == (["a"], None)
    first, marker = await names(path_prefix="/x/", max_items=1)
    assert (first, await names(path_prefix="/x/", marker=marker)) == (["a"], (["b"], None))


async def test_a_certificate_is_renamed_and_moved_with_what_belongs_to_it(iam: Any) -> None:
    await iam(upload(tags=(shapes.Tag(key="team", value="blue"),)))
    await iam(upload("second"))
    before = await get(iam)
    rename = shapes.UpdateServerCertificateRequest(
        server_certificate_name="web", new_server_certificate_name="shop", new_path="/x/"
    )
    await iam(rename)
    after = await get(iam, "shop")
    assert after.server_certificate_metadata.arn.endswith(":server-certificate/x/shop")
    assert (
        after.server_certificate_metadata.server_certificate_id
        == before.server_certificate_metadata.server_certificate_id
    )
    assert (after.tags, after.certificate_body) == (before.tags, SERVER.pem.strip())
    assert await iam.refused(rename) == MISSING
    taken = shapes.UpdateServerCertificateRequest(
        server_certificate_name="shop", new_server_certificate_name="SECOND"
    )
    assert (await iam.refused(taken))[0] == "EntityAlreadyExists"


async def test_a_renaming_needs_the_permission_on_both_names(iam: Any) -> None:
    await iam(upload())
    await iam(shapes.CreateUserRequest(user_name="admin"))
    arn = f"arn:aws:iam::{ACCOUNT}:server-certificate/web"
    policy = document(allow("iam:UpdateServerCertificate", on=arn))
    await iam(shapes.PutUserPolicyRequest(user_name="admin", policy_name="may", policy_document=policy))
    asked = shapes.UpdateServerCertificateRequest(
        server_certificate_name="web", new_server_certificate_name="shop"
    )
    assert (await iam.refused(asked, user="admin"))[0] == "AccessDenied"
    same = shapes.UpdateServerCertificateRequest(server_certificate_name="web")
    await iam(same, user="admin")


async def test_a_certificate_is_deleted_and_then_missing_to_every_operation(iam: Any) -> None:
    await iam(upload())
    await iam(shapes.DeleteServerCertificateRequest(server_certificate_name="web"))
    for request, fields in (
        (shapes.GetServerCertificateRequest, {}),
        (shapes.UpdateServerCertificateRequest, {"new_path": "/x/"}),
        (shapes.DeleteServerCertificateRequest, {}),
        (shapes.TagServerCertificateRequest, {"tags": (shapes.Tag(key="a", value="1"),)}),
        (shapes.UntagServerCertificateRequest, {"tag_keys": ("a",)}),
        (shapes.ListServerCertificateTagsRequest, {}),
    ):
        assert await iam.refused(request(server_certificate_name="web", **fields)) == MISSING


async def test_tags_are_changed_and_listed(iam: Any) -> None:
    await iam(upload())
    named = {"server_certificate_name": "web"}
    tags = tuple(shapes.Tag(key=key, value="1") for key in ("b", "a"))
    await iam(shapes.TagServerCertificateRequest(**named, tags=tags))
    await iam(shapes.UntagServerCertificateRequest(**named, tag_keys=("b", "A")))
    listed = await iam(shapes.ListServerCertificateTagsRequest(**named))
    assert listed.tags == (shapes.Tag(key="a", value="1"),)


async def test_tags_of_a_new_certificate_need_the_permission_to_tag(iam: Any) -> None:
    await iam(shapes.CreateUserRequest(user_name="admin"))
    policy = document(allow("iam:UploadServerCertificate"))
    await iam(shapes.PutUserPolicyRequest(user_name="admin", policy_name="may", policy_document=policy))
    tags = (shapes.Tag(key="team", value="blue"),)
    code, message = await iam.refused(upload(tags=tags), user="admin")
    assert (code, "iam:TagServerCertificate" in message) == ("AccessDenied", True)
    await iam(upload(), user="admin")
