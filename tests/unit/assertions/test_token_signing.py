"""Tokens that the broker signs, read by libraries that know nothing of it."""

import json

import jwt
import pytest
from joserfc import jws
from joserfc.jwk import JWKRegistry

from broker.assertions.key_sets import parse_key_set
from broker.assertions.token_signing import SIGNING_ALGORITHMS, new_key_pair, sign_token

PAYLOAD = b'{"sub":"alice"}'


@pytest.fixture(scope="module", params=SIGNING_ALGORITHMS)
def algorithm(request):
    return request.param


@pytest.fixture(scope="module")
def pair(algorithm):
    return new_key_pair(algorithm, "one")


@pytest.fixture(scope="module")
def token(algorithm, pair):
    return sign_token(PAYLOAD, algorithm, "one", pair.private_key)


def test_pyjwt_verifies_the_token_with_the_published_key(algorithm, pair, token):
    key = jwt.PyJWK.from_json(pair.public_key)
    assert jwt.decode(token, key, algorithms=[algorithm]) == {"sub": "alice"}
    assert jwt.get_unverified_header(token) == {"alg": algorithm, "kid": "one", "typ": "JWT"}


def test_joserfc_verifies_the_token_with_the_published_key(algorithm, pair, token):
    key = JWKRegistry.import_key(json.loads(pair.public_key))
    assert jws.deserialize_compact(token, key, algorithms=[algorithm]).payload == PAYLOAD


def test_a_token_of_another_key_does_not_verify(algorithm, pair):
    other = sign_token(PAYLOAD, algorithm, "one", new_key_pair(algorithm, "one").private_key)
    with pytest.raises(jwt.InvalidSignatureError):
        jwt.decode(other, jwt.PyJWK.from_json(pair.public_key), algorithms=[algorithm])


def test_the_published_key_is_one_for_this_algorithm_alone_and_nothing_of_the_private_one(algorithm, pair):
    public = json.loads(pair.public_key)
    assert (
        public.keys()
        == {
            "RS256": {"kty", "n", "e", "use", "alg", "kid"},
            "ES384": {"kty", "crv", "x", "y", "use", "alg", "kid"},
        }[algorithm]
    )
    (parsed,) = parse_key_set(json.dumps({"keys": [public]}).encode())
    assert (parsed.key_id, parsed.algorithms) == ("one", (algorithm,))


def test_a_pair_does_not_print_its_private_key(pair):
    assert pair.private_key.reveal().startswith("-----BEGIN PRIVATE KEY-----")
    assert "PRIVATE KEY" not in repr(pair)
