"""Passkeys (WebAuthn): what a browser is asked for, and the verification of what its authenticator answers.

Obeys Web Authentication Level 3, sections 7.1 and 7.2. No attestation is asked for: of which make an authenticator is
decides nothing here, so only answers without an attestation, or with one by the new key itself, are taken.

# DANGER: `unverified_…` texts come from browsers and have CBOR in them; every exception of the library is a refusal.
"""

from base64 import urlsafe_b64encode
from typing import Any

import msgspec

CHALLENGE_SIZE = 32
# ES256, EdDSA and RS256 (IANA, "COSE Algorithms"): what authenticators have.
_ALGORITHMS = (-7, -8, -257)
_LARGEST_ANSWER = 48 << 10  # characters
_LONGEST_CREDENTIAL_ID = 1023  # bytes: "a probabilistically-unique byte sequence", 4
_LARGEST_PUBLIC_KEY = 1200  # bytes: RSA with 8,192 bits
_BROWSER_WAITS = 300_000  # milliseconds


class PasskeyRefused(Exception):
    """What an authenticator answered proves nothing; the reason is for the journal."""


class Ceremony(msgspec.Struct, frozen=True):
    """What an answer has to be for: our challenge, the host name (the relying party's id) and the page's origin."""

    challenge: bytes
    host_name: str
    origin: str
    must_verify_user: bool = False


class ProvenPasskey(msgspec.Struct, frozen=True):
    """A key pair that an authenticator has made for us. `public_key` is a COSE key, `aaguid` the make that it names."""

    credential_id: bytes
    public_key: bytes
    sign_count: int
    aaguid: str


class PresentedPasskey(msgspec.Struct, frozen=True):
    """An answer of a browser at a sign-in: which passkey it claims to be from. Nothing of it is verified."""

    credential_id: bytes
    unverified_text: str


def creation_options(
    ceremony: Ceremony, user_verification: str, name: str, handle: bytes, known: tuple[bytes, ...]
) -> dict[str, Any]:
    """What `navigator.credentials.create` is called with, in the JSON of PublicKeyCredentialCreationOptionsJSON.

    `handle` is the person's id for authenticators; an authenticator that has one of the `known` passkeys makes none.
    """
    return {
        "rp": {"id": ceremony.host_name, "name": ceremony.host_name},
        "user": {"id": _encoded(handle), "name": name, "displayName": name},
        "challenge": _encoded(ceremony.challenge),
        "pubKeyCredParams": [{"type": "public-key", "alg": algorithm} for algorithm in _ALGORITHMS],
        "timeout": _BROWSER_WAITS,
        "excludeCredentials": _described(known),
        "authenticatorSelection": {"residentKey": "preferred", "userVerification": user_verification},
        "attestation": "none",
    }


def request_options(ceremony: Ceremony, user_verification: str, known: tuple[bytes, ...]) -> dict[str, Any]:
    """What `navigator.credentials.get` is called with, in the JSON of PublicKeyCredentialRequestOptionsJSON."""
    return {
        "challenge": _encoded(ceremony.challenge),
        "timeout": _BROWSER_WAITS,
        "rpId": ceremony.host_name,
        "allowCredentials": _described(known),
        "userVerification": user_verification,
    }


def import_library() -> None:
    """What verifies answers. It takes a tenth of a second, once; most brokers never see a passkey."""
    import webauthn
    import webauthn.helpers.cose
    import webauthn.helpers.exceptions  # noqa: F401


def verify_new_passkey(unverified_text: str, ceremony: Ceremony) -> ProvenPasskey:
    """The passkey that was made for `ceremony`; raises PasskeyRefused."""
    _require_size(unverified_text)
    # Here and below: see `import_library`.
    from webauthn import verify_registration_response
    from webauthn.helpers import decode_credential_public_key, decoded_public_key_to_cryptography
    from webauthn.helpers import parse_registration_credential_json as parse
    from webauthn.helpers.cose import COSEAlgorithmIdentifier

    try:
        credential = parse(unverified_text)
        _require_own_page(credential.response.client_data_json)
        _require_no_attestation(credential.response.attestation_object)
        proven = verify_registration_response(
            credential=credential,
            expected_challenge=ceremony.challenge,
            expected_rp_id=ceremony.host_name,
            expected_origin=ceremony.origin,
            require_user_verification=ceremony.must_verify_user,
            supported_pub_key_algs=[COSEAlgorithmIdentifier(one) for one in _ALGORITHMS],
        )
        # Nothing was signed with the new key yet: that it is one would otherwise show at the next sign-in.
        decoded_public_key_to_cryptography(decode_credential_public_key(proven.credential_public_key))
    except _errors() as error:
        raise PasskeyRefused(_said_by(error)) from None
    _require_short("credential id", proven.credential_id, _LONGEST_CREDENTIAL_ID)
    _require_short("public key", proven.credential_public_key, _LARGEST_PUBLIC_KEY)
    return ProvenPasskey(proven.credential_id, proven.credential_public_key, proven.sign_count, proven.aaguid)


def read_presented(unverified_text: str) -> PresentedPasskey:
    """Which passkey the answer claims to be from; raises PasskeyRefused."""
    _require_size(unverified_text)
    from webauthn.helpers import parse_authentication_credential_json as parse

    try:
        return PresentedPasskey(parse(unverified_text).raw_id, unverified_text)
    except _errors() as error:
        raise PasskeyRefused(_said_by(error)) from None


def verify_passkey(
    presented: PresentedPasskey, ceremony: Ceremony, public_key: bytes, sign_count: int, handle: bytes
) -> int:
    """How often the authenticator has signed by now; raises PasskeyRefused, also where that is not over `sign_count`.

    An authenticator that does not count always says 0. `handle` is the person that the passkey was made for.
    """
    from webauthn import verify_authentication_response
    from webauthn.helpers import parse_authentication_credential_json as parse

    try:
        credential = parse(presented.unverified_text)
        _require_own_page(credential.response.client_data_json)
        if credential.response.user_handle not in (None, b"", handle):
            raise PasskeyRefused("it was made for another user")
        proven = verify_authentication_response(
            credential=credential,
            expected_challenge=ceremony.challenge,
            expected_rp_id=ceremony.host_name,
            expected_origin=ceremony.origin,
            credential_public_key=public_key,
            credential_current_sign_count=sign_count,
            require_user_verification=ceremony.must_verify_user,
        )
    except _errors() as error:
        raise PasskeyRefused(_said_by(error)) from None
    return proven.new_sign_count


def _require_own_page(client_data: bytes) -> None:
    """Not from within a page of another site (the library does not look at it)."""
    if msgspec.json.decode(client_data, type=dict[str, Any]).get("crossOrigin", False) is not False:
        raise PasskeyRefused("it was asked for within a page of another site")


def _require_no_attestation(attestation_object: bytes) -> None:
    """Nothing that has certificates in it is parsed any further."""
    from webauthn.helpers import parse_attestation_object

    attestation = parse_attestation_object(attestation_object)
    if attestation.fmt not in ("none", "packed") or attestation.att_stmt.x5c is not None:
        raise PasskeyRefused(f"an attestation {attestation.fmt!r} was not asked for")


def _require_size(unverified_text: str) -> None:
    if len(unverified_text) > _LARGEST_ANSWER:
        raise PasskeyRefused(f"an answer of {len(unverified_text)} characters")


def _require_short(what: str, value: bytes, most: int) -> None:
    if len(value) > most:
        raise PasskeyRefused(f"a {what} of {len(value)} bytes")


def _errors() -> tuple[type[Exception], ...]:
    """What the library and the parsers under it raise for what they cannot read, or cannot verify."""
    from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
    from webauthn.helpers.exceptions import WebAuthnException

    return (
        WebAuthnException,
        PasskeyRefused,
        InvalidSignature,
        UnsupportedAlgorithm,
        msgspec.MsgspecError,
        ArithmeticError,
        AttributeError,
        LookupError,
        RecursionError,
        TypeError,
        ValueError,
    )


def _said_by(error: Exception) -> str:
    return str(error) or type(error).__name__


def _described(credential_ids: tuple[bytes, ...]) -> list[dict[str, str]]:
    return [{"type": "public-key", "id": _encoded(one)} for one in credential_ids]


def _encoded(octets: bytes) -> str:
    return urlsafe_b64encode(octets).rstrip(b"=").decode()
