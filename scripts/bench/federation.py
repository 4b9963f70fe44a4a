"""AssumeRoleWithWebIdentity and AssumeRoleWithSAML through the whole broker, compared with their minimal cost.

A token's request is compared with the sum of a bare aiohttp server's POST of the same size and of the signature alone
(PyJWT's verification, in this process); an assertion's with the sum of the POST, of lxml's parsing of the response and
of xmlsec's verification of its signature. Providers' keys are pinned, so nothing is fetched. Printed are CPU
microseconds per request, and the ratio broker/sum, the median of all rounds; rounds alternate. SAML is measured
twice: with `saml_allow_replay`, so that the same assertions are sent repeatedly, and without, where each is recorded as
used. The server runs on the first core, everything else on the last.

    .venv-test/bin/python scripts/bench/federation.py
    .venv-test/bin/python scripts/bench/federation.py --rounds 5 --seconds 1 rs256 es256
"""

import argparse
import contextlib
import json
import os
import secrets
import statistics
import sys
import tempfile
import time
import urllib.parse
from base64 import b64decode
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import xmlsec
from jwt.api_jws import PyJWS
from lxml import etree
from serving import Server, ask, free_address, load, send_all, signed

sys.path.insert(0, str(Path(__file__).parents[2]))

from requests import BARE, BARE_SERVER, document, sized

from broker.app import clock
from tests.unit.assertions import saml_provider as saml
from tests.unit.assertions.conftest import Provider

ACCOUNT, ROOT_KEY_ID, ROOT_SECRET = "111111111111", "AKIABENCHBENCHBENCH0", secrets.token_hex(20)
ISSUER, CLIENT = "https://idp.example.com", "sts.amazonaws.com"
GOALS = {"rs256": 1.4, "es256": 1.4, "saml": 2.0, "saml-once": 2.0}
ROLE, SAML_ARN = f"arn:aws:iam::{ACCOUNT}:role/bench", f"arn:aws:iam::{ACCOUNT}:saml-provider/idp"
REQUESTS = 200
KEYS = {"rs256": "rsa", "es256": "p256"}

IDP, SAML_KEYS = Provider(), saml.KeyPair()
Measured = tuple[float, float]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("kinds", nargs="*", choices=[*GOALS, []], help="default: all")
    parser.add_argument("--rounds", type=int, default=7, help="alternating rounds (7)")
    parser.add_argument("--seconds", type=float, default=2.0, help="seconds a round of each server (2)")
    chosen = parser.parse_args()
    os.sched_setaffinity(0, {(os.cpu_count() or 1) - 1})
    with (
        Server([sys.executable, "-c", BARE_SERVER], {}, BARE, f"http://{BARE}/", "0") as bare,
        broker("true") as again,
        broker("false") as once,
    ):
        print(f"{'flow':10} {'broker us':>10} {'POST us':>9} {'proof us':>9} {'ratio':>6} {'goal':>5}")
        for kind in chosen.kinds or GOALS:
            measure(kind, once if kind == "saml-once" else again, bare, chosen)


@contextlib.contextmanager
def broker(allow_replay: str) -> Iterator[Server]:
    """A server with an OpenID Connect provider, a SAML provider, and a role that trusts both."""
    api, operations, metadata = (free_address() for _ in range(3))
    with tempfile.TemporaryDirectory() as folder:
        keys = Path(folder, "keys.json")
        keys.write_text(json.dumps({"keys": [IDP.public_jwk(name) for name in KEYS.values()]}))
        environment = {
            "BROKER_STORE_URL": f"sqlite:{folder}/broker.db",
            "BROKER_KEYS_MASTER_KEY_FILE": f"{folder}/master.key",
            "BROKER_AUDIT_PATH": f"{folder}/audit.jsonl",
            "BROKER_ROOT_ACCOUNT_ID": ACCOUNT,
            "BROKER_ROOT_ACCESS_KEY_ID": ROOT_KEY_ID,
            "BROKER_ROOT_SECRET_ACCESS_KEY": ROOT_SECRET,
            "BROKER_FEDERATION_PINNED_KEYS": f"{ISSUER}={keys}",
            "BROKER_FEDERATION_SAML_RECIPIENTS": saml.RECIPIENT,
            "BROKER_FEDERATION_SAML_ALLOW_REPLAY": allow_replay,
        }
        serve = [sys.executable, "-m", "broker", "serve", "--api", api, "--operations", operations]
        serve += ["--metadata", metadata]
        with Server(serve, environment, api, f"http://{operations}/readyz", "0") as server:
            register(server)
            yield server


def register(server: Server) -> None:
    def iam(**parameters: str) -> None:
        ask(server, signed(server.address, parameters, ROOT_KEY_ID, ROOT_SECRET, "iam"))

    iam(Action="CreateOpenIDConnectProvider", Url=ISSUER, **{"ClientIDList.member.1": CLIENT})
    iam(Action="CreateSAMLProvider", Name="idp", SAMLMetadataDocument=saml.metadata(SAML_KEYS))
    provider = ISSUER.removeprefix("https://")
    condition = {f"{provider}:aud": CLIENT, f"{provider}:repository": "group/project"}
    trust = json.loads(
        document(
            Principal={"Federated": f"arn:aws:iam::{ACCOUNT}:oidc-provider/{provider}"},
            Action="sts:AssumeRoleWithWebIdentity",
            Condition={"StringEquals": condition},
        )
    )
    by_saml = document(Principal={"Federated": SAML_ARN}, Action="sts:AssumeRoleWithSAML")
    trust["Statement"] += json.loads(by_saml)["Statement"]
    iam(Action="CreateRole", RoleName="bench", AssumeRolePolicyDocument=json.dumps(trust))


def post(server: Server, **parameters: str) -> bytes:
    body = urllib.parse.urlencode({**parameters, "Version": "2011-06-15"}).encode()
    head = (
        f"POST / HTTP/1.1\r\nHost: {server.address}\r\nUser-Agent: Boto3/1.44.5\r\n"
        f"Content-Type: application/x-www-form-urlencoded; charset=utf-8\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


def tokens(kind: str) -> list[str]:
    now = int(clock())
    claims = {
        "iss": ISSUER,
        "aud": CLIENT,
        "repository": "group/project",
        "ref": "refs/heads/main",
        "ref_type": "branch",
        "ref_protected": "true",
        "event_name": "push",
        "runner_environment": "self-hosted",
        "iat": now,
        "nbf": now,
        "exp": now + 3600,
    }
    made = [{**claims, "sub": f"run:{number}", "jti": secrets.token_hex(16)} for number in range(REQUESTS)]
    return [IDP.sign(one, KEYS[kind]) for one in made]


def responses() -> list[str]:
    """Responses with signed assertions, each with its own ID."""
    attributes = {
        **saml.USUAL_ATTRIBUTES,
        "https://aws.amazon.com/SAML/Attributes/Role": [f"{ROLE},{SAML_ARN}"],
    }
    at = clock() - saml.NOW
    made = []
    for _ in range(REQUESTS):
        text = saml.assertion(
            id=f"_{secrets.token_hex(16)}",
            issued=saml.moment(at),
            confirmed_until=saml.moment(at + 300),
            not_before=saml.moment(at - 60),
            not_on_or_after=saml.moment(at + 300),
            attributes=attributes,
        )
        made.append(saml.encoded(saml.response(saml.sign(text, SAML_KEYS))))
    return made


def cpu_of(prove: Callable[[str], object], texts: Sequence[str]) -> float:
    """CPU microseconds of one proof."""
    began = time.process_time()
    for text in texts:
        prove(text)
    return (time.process_time() - began) / len(texts) * 1e6


def prove_token(kind: str) -> Callable[[str], object]:
    key, algorithm = IDP.private[KEYS[kind]]
    public, jws = key.public_key(), PyJWS()
    return lambda text: jws.decode_complete(text, public, algorithms=[algorithm])


def prove_response(text: str) -> None:
    """Parses and verifies only."""
    root = etree.fromstring(b64decode(text))
    (signature,) = root.iter("{http://www.w3.org/2000/09/xmldsig#}Signature")
    xmlsec.tree.add_ids(root[-1], ["ID"])
    context = xmlsec.SignatureContext()
    context.key = xmlsec.Key.from_memory(SAML_KEYS.pem, xmlsec.KeyFormat.CERT_PEM)
    context.verify(signature)


def measure(kind: str, server: Server, bare: Server, chosen: argparse.Namespace) -> None:
    rows = []
    for _ in range(chosen.rounds):
        if kind in KEYS:
            texts = tokens(kind)
            asked = {"Action": "AssumeRoleWithWebIdentity", "RoleSessionName": "bench"}
            requests = [post(server, RoleArn=ROLE, WebIdentityToken=text, **asked) for text in texts]
        else:
            texts = responses()
            asked = {"Action": "AssumeRoleWithSAML", "PrincipalArn": SAML_ARN}
            requests = [post(server, RoleArn=ROLE, SAMLAssertion=text, **asked) for text in texts]
        prove = prove_token(kind) if kind in KEYS else prove_response
        size = len(ask(server, requests[0])[0])
        ours = (
            cost_once(server, requests[1:])
            if kind == "saml-once"
            else load(server, requests, chosen.seconds)[0]
        )
        theirs = load(bare, [sized(request, size) for request in requests], chosen.seconds)[0]
        rows.append((ours, theirs, cpu_of(prove, texts)))
    ours, theirs, proof = (statistics.median(row[column] for row in rows) for column in range(3))
    ratio = statistics.median(row[0] / (row[1] + row[2]) for row in rows)
    quietest = min(row[0] / (row[1] + row[2]) for row in rows)
    print(
        f"{kind:10} {ours:10.1f} {theirs:9.1f} {proof:9.1f} {ratio:6.2f} {GOALS[kind]:5.2f}"
        f"   least of all rounds: {quietest:.2f}",
        flush=True,
    )


def cost_once(server: Server, requests: Sequence[bytes]) -> float:
    """CPU microseconds of the server for each request, which is sent once."""
    before = server.cpu_seconds()
    send_all(server, requests)
    return (server.cpu_seconds() - before) / len(requests) * 1e6


if __name__ == "__main__":
    main()
