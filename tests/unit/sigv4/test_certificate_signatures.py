"""Signatures by the keys of certificates: the whole request is covered, and a secret never makes one."""

from datetime import UTC, datetime

import pytest

from broker.errors import Refusal
from broker.names.secret import SecretKey
from broker.sigv4.authorization import UnverifiedRequest, find_authorization
from broker.sigv4.certificate_signatures import CertificateKey, algorithm_of, verify_certificate_signature
from broker.sigv4.signing_keys import SigningKeys
from broker.sigv4.verify import Dialect, verify
from tests.workload_certificates import Issued, Signing, algorithm_for, authority, new_key, workload

AT = datetime(2026, 11, 30, 12, tzinfo=UTC)
DIALECT = Dialect(mismatch_code="AccessDeniedException")
ROOT = authority(now=AT)
OWN = workload(ROOT, now=AT)
QUERY = {"roleArn": "arn:aws:iam::111111111111:role/a b+c/d=e", "empty": ""}


def unverified(signing: Signing, **headers: str) -> UnverifiedRequest:
    target, sent, body = signing.request()
    path, _, query = target.partition("?")
    changed = {**sent, **headers}
    return UnverifiedRequest("POST", path, query, tuple(changed.items()), body)


def signing(own: Issued = OWN, **more: object) -> Signing:
    return Signing("broker.example.com", own, query=QUERY, at=AT, **more)  # type: ignore[arg-type]


def judge(request: UnverifiedRequest, own: Issued = OWN, now: float = AT.timestamp()) -> None:
    authorization = find_authorization(request)
    assert authorization is not None
    key = CertificateKey(own.key.public_key(), own.certificate.serial_number)
    verify_certificate_signature(request, authorization, key, now, service="rolesanywhere", dialect=DIALECT)


@pytest.mark.parametrize("kind", ["rsa", "ec", "p-384", "ml-dsa-44", "ml-dsa-65", "ml-dsa-87"])
def test_each_kind_of_key_signs_with_its_own_algorithm(kind: str) -> None:
    own = workload(ROOT, kind=kind, now=AT)
    assert algorithm_of(own.key.public_key()) == algorithm_for(own.key)
    judge(unverified(signing(own, body={"durationSeconds": 900})), own)


def test_a_key_of_no_known_kind_has_no_algorithm() -> None:
    assert algorithm_of(object()) is None


@pytest.mark.parametrize("part", ["method", "path", "query", "body"])
def test_a_changed_part_is_refused(part: str) -> None:
    request = unverified(signing())
    changed = {
        "method": request.method.replace("POST", "PUT"),
        "path": request.path + "/x",
        "query": request.query.replace("role", "rule"),
        "body": request.body + b" ",
    }[part]
    parts = {name: getattr(request, name) for name in ("method", "path", "query", "headers", "body")}
    with pytest.raises(Refusal, match="not that of the certificate's key"):
        judge(UnverifiedRequest(**{**parts, part: changed}))


def test_a_signature_lives_for_fifteen_minutes() -> None:
    request = unverified(signing())
    judge(request, now=AT.timestamp() + 900)
    judge(request, now=AT.timestamp() - 900)
    for late in (901, -901):
        with pytest.raises(Refusal, match=r"Signature (expired|not yet current)"):
            judge(request, now=AT.timestamp() + late)


def test_an_added_header_of_amazons_has_to_be_signed() -> None:
    with pytest.raises(Refusal, match="'x-amz-x509-chain' must be a 'SignedHeader'"):
        judge(unverified(signing(), **{"x-amz-x509-chain": "AAAA"}))


def test_a_certificate_is_named_once() -> None:
    request = unverified(signing())
    twice = UnverifiedRequest(
        request.method, request.path, request.query, (*request.headers, ("x-amz-x509", "AAAA")), request.body
    )
    with pytest.raises(Refusal, match="must not be given more than once"):
        find_authorization(twice)


@pytest.mark.parametrize("signature", ["", "zz", "00", "30" * 6000])
def test_what_is_no_signature_is_refused(signature: str) -> None:
    request = unverified(signing())
    header = dict(request.headers)["authorization"].rpartition("Signature=")[0] + f"Signature={signature}"
    with pytest.raises(Refusal):
        judge(unverified(signing(), authorization=header))


def test_a_secret_makes_no_signature_of_a_certificate() -> None:
    """The algorithm's name alone must not turn a signature with a secret into another kind, or back."""
    secret = SecretKey("a secret")
    request = unverified(signing(algorithm="AWS4-X509-RSA-SHA256", serial_number="ASIAEXAMPLE"))
    authorization = find_authorization(request)
    assert authorization is not None
    with pytest.raises(Refusal, match="Unsupported AWS 'algorithm'"):
        verify(request, authorization, secret, AT.timestamp(), SigningKeys(), services=("rolesanywhere",))
    by_secret = unverified(signing(algorithm="AWS4-HMAC-SHA256"))
    with pytest.raises(Refusal, match="not that of the certificate's key"):
        judge(by_secret)


def test_the_key_of_another_is_refused() -> None:
    other = workload(ROOT, serial_number=OWN.certificate.serial_number, key=new_key(), now=AT)
    with pytest.raises(Refusal, match="not that of the certificate's key"):
        judge(unverified(signing(other)))


def test_a_certificate_may_be_numbered_as_it_likes() -> None:
    """Python refuses to write a number of thousands of digits."""
    request = unverified(signing())
    authorization = find_authorization(request)
    assert authorization is not None
    numbered = CertificateKey(OWN.key.public_key(), 10**5000)
    with pytest.raises(Refusal, match="not the serial number"):
        verify_certificate_signature(
            request, authorization, numbered, AT.timestamp(), service="rolesanywhere", dialect=DIALECT
        )
