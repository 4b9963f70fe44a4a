"""Assertions mutated by atheris: each must be refused, or have only the signed content.

    .venv-fuzz/bin/python scripts/fuzz/assertions.py TARGET CORPUS [options of libFuzzer]

`scripts/fuzz-assertions` runs all targets for a bounded time. A finding is an exception that is no refusal, a proof of
unsigned content, a crash of a library, or an input that takes five seconds.
"""

import contextlib
import json
import sys
from base64 import b64encode, urlsafe_b64encode
from collections import deque
from collections.abc import Callable
from pathlib import Path

import atheris

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT))
with atheris.instrument_imports(include=["broker", "jwt"]):
    from broker.assertions import saml_attributes, web_identity_attributes
    from broker.assertions.checks import CheckFailed, Checks
    from broker.assertions.key_sets import parse_key_set
    from broker.assertions.saml_assertion import Expected
    from broker.assertions.saml_metadata import parse_saml_metadata
    from broker.assertions.saml_response import read_response, verify_response
    from broker.assertions.unverified_token import read_token
    from broker.assertions.web_identity import verify_web_identity
from tests.unit.assertions import saml_provider as saml  # noqa: E402  instrumented first
from tests.unit.assertions.conftest import (  # noqa: E402
    CLIENT,
    ISSUER,
    NOW,
    Provider,
    usual_claims,
)

IDP, PAIR = Provider(), saml.KeyPair()
KEYS = IDP.keys
METADATA = parse_saml_metadata(saml.metadata(PAIR))
EXPECTED = Expected((saml.RECIPIENT,), (saml.AUDIENCE,))
PRIVATE = [PAIR.private_pem]
CLAIMS = [
    usual_claims(),
    usual_claims(azp=CLIENT, aud=["a", "b"], amr=["mfa"], nbf=NOW - 5, realm_access={"roles": ["x"]}),
    usual_claims(
        **{"https://aws.amazon.com/tags": {"principal_tags": {"a": ["b"]}, "transitive_tag_keys": ["a"]}}
    ),
]
TOKENS = [IDP.sign(claims, key_id) for claims in CLAIMS for key_id in IDP.private]
SIGNED = frozenset(token.rpartition(".")[0] for token in TOKENS)
SIGNED_ASSERTION = saml.etree.tostring(saml.sign(saml.assertion(), PAIR)).decode()
RESPONSES = [
    saml.response(SIGNED_ASSERTION),
    saml.sign(saml.response(saml.assertion()), PAIR),
    saml.sign(saml.response(SIGNED_ASSERTION), PAIR),
    saml.response(saml.encrypt(saml.etree.fromstring(SIGNED_ASSERTION), PAIR)),
]


# One entry for each of the last proofs.
PROVEN: deque[int] = deque(maxlen=1000)


class Finding(Exception):
    """The broker accepted something that was not signed."""


def token(data: bytes) -> None:
    """A token's text."""
    prove_token(data.decode("utf-8", "replace"))


def token_parts(data: bytes) -> None:
    """Header, claims and signature, apart by a line's end, so that mutations are of the JSON within."""
    prove_token(".".join(urlsafe_b64encode(part).decode().rstrip("=") for part in data.split(b"\n", 2)))


def prove_token(text: str) -> None:
    checks = Checks()
    with contextlib.suppress(CheckFailed):
        read = read_token(text, checks)
        identity = verify_web_identity(read, KEYS, issuer=ISSUER, client_ids=[CLIENT], now=NOW, checks=checks)
        web_identity_attributes.condition_keys(identity, checks)
        web_identity_attributes.session_attributes(identity, checks)
        PROVEN.append(NOW)
        if read.signing_input not in SIGNED:
            raise Finding(text)


def claims(data: bytes) -> None:
    """Claims that the provider signed: the provider itself may be hostile."""
    checks = Checks()
    header = urlsafe_b64encode(b'{"alg":"EdDSA","kid":"ed"}').decode().rstrip("=")
    signed = f"{header}.{urlsafe_b64encode(data).decode().rstrip('=')}"
    signature = urlsafe_b64encode(IDP.private["ed"][0].sign(signed.encode())).decode().rstrip("=")
    with contextlib.suppress(CheckFailed):
        read = read_token(f"{signed}.{signature}", checks)
        identity = verify_web_identity(read, KEYS, issuer=ISSUER, client_ids=[CLIENT], now=NOW, checks=checks)
        web_identity_attributes.condition_keys(identity, checks)
        web_identity_attributes.session_attributes(identity, checks)
        PROVEN.append(NOW)


def response(data: bytes) -> None:
    """The XML of a SAML response."""
    checks = Checks()
    with contextlib.suppress(CheckFailed):
        root = read_response(b64encode(data).decode(), checks)
        proven = verify_response(root, METADATA, PRIVATE, EXPECTED, saml.NOW, checks)
        if (proven.name_id.value, proven.attributes) != (
            "alice",
            {name: tuple(values) for name, values in saml.USUAL_ATTRIBUTES.items()},
        ):
            raise Finding(data)
        saml_attributes.offered_roles(proven, checks)
        saml_attributes.condition_keys(proven, "111111111111", "idp")
        saml_attributes.session_attributes(proven, checks)
        PROVEN.append(NOW)


def metadata(data: bytes) -> None:
    """A SAML provider's metadata, as an administrator uploads them."""
    with contextlib.suppress(ValueError):
        parse_saml_metadata(data.decode("utf-8", "replace"))


def key_set(data: bytes) -> None:
    """The key set of an OpenID Connect provider."""
    with contextlib.suppress(ValueError):
        parse_key_set(data)


def seeds(name: str) -> list[bytes]:
    if name == "token":
        return [text.encode() for text in TOKENS]
    if name == "token_parts":
        return [
            b'{"alg":"RS256","kid":"rsa"}\n' + json.dumps(one).encode() + b"\nsignature" for one in CLAIMS
        ]
    if name == "claims":
        return [json.dumps(one).encode() for one in CLAIMS]
    if name == "response":
        return [saml.etree.tostring(one) for one in RESPONSES]
    if name == "metadata":
        return [saml.metadata(PAIR).encode(), saml.metadata(PAIR, saml.KeyPair()).encode()]
    return [json.dumps({"keys": [IDP.public_jwk(one) for one in IDP.private]}).encode()]


TARGETS: dict[str, Callable[[bytes], None]] = {
    one.__name__: one for one in (token, token_parts, claims, response, metadata, key_set)
}


def main() -> None:
    name, corpus, *options = sys.argv[1:]
    before = len(PROVEN)
    for number, seed in enumerate(seeds(name)):
        TARGETS[name](seed)
        Path(corpus, f"seed-{number}").write_bytes(seed)
    if name in ("token", "claims", "response") and len(PROVEN) - before < len(seeds(name)):
        sys.exit(f"{name}: what is not mutated must be proven, or the mutations are of nothing")
    atheris.Setup([sys.argv[0], corpus, *options], TARGETS[name])
    atheris.Fuzz()


if __name__ == "__main__":
    main()
