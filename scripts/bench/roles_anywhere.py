"""CreateSession of IAM Roles Anywhere through the whole broker, compared with its minimal cost.

It is compared with the sum of a bare aiohttp server's POST of the same size and of the proofs alone, in this process:
the signature of the request and that of the one certificate. A certificate stands below the trust anchor; the profile
maps its attributes to tags. Printed are CPU microseconds per request, and the ratio broker/sum, the median of all
rounds. The server runs on the first core, everything else on the last.

    .venv-test/bin/python scripts/bench/roles_anywhere.py
    .venv-test/bin/python scripts/bench/roles_anywhere.py --rounds 5 --seconds 1 ec
"""

import argparse
import os
import statistics
import sys
import tempfile
import time
from pathlib import Path

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from serving import Server as Measured
from serving import ask, free_address, load

sys.path.insert(0, str(Path(__file__).parents[2]))

from requests import BARE, BARE_SERVER, sized

from tests.e2e.conftest import REGION, Server
from tests.e2e.roles_anywhere import Anywhere
from tests.workload_certificates import Issued, Signing, authority, sign, workload

KINDS = ("ec", "rsa", "ml-dsa-65")
REQUESTS = 200
MESSAGE = b"AWS4-X509\n" * 16


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("kinds", nargs="*", choices=[*KINDS, []], help="default: all")
    parser.add_argument("--rounds", type=int, default=7, help="alternating rounds (7)")
    parser.add_argument("--seconds", type=float, default=2.0, help="seconds a round of each server (2)")
    chosen = parser.parse_args()
    os.sched_setaffinity(0, {(os.cpu_count() or 1) - 1})
    with tempfile.TemporaryDirectory() as name:
        served = Server(Path(name), f"sqlite:{name}/broker.db", api=free_address(), operations=free_address())
        serve = [sys.executable, "-m", "broker", "serve"]
        ready = f"http://{served.operations}/readyz"
        with (
            Measured([sys.executable, "-c", BARE_SERVER], {}, BARE, f"http://{BARE}/", "0") as bare,
            Measured(serve, served.settings, served.api, ready, "0") as broker,
        ):
            print(f"{'key':10} {'broker us':>10} {'POST us':>9} {'proofs us':>9} {'ratio':>6}")
            for kind in chosen.kinds or KINDS:
                measure(kind, served, broker, bare, chosen)


def measure(kind: str, served: Server, broker: Measured, bare: Measured, chosen: argparse.Namespace) -> None:
    root = authority(kind=kind)
    scene, own = Anywhere.of(served, served.new_account(), root), workload(root, kind=kind)
    rows = []
    for _ in range(chosen.rounds):
        requests = [raw(Signing(served.api, own, region=REGION, query=scene.arns)) for _ in range(REQUESTS)]
        size = len(ask(broker, requests[0])[0])
        ours = load(broker, requests, chosen.seconds)[0]
        theirs = load(bare, [sized(at_root(request), size) for request in requests], chosen.seconds)[0]
        rows.append((ours, theirs, 2 * cost_of_proof(own)))
    ours, theirs, proofs = (statistics.median(row[column] for row in rows) for column in range(3))
    ratio = statistics.median(row[0] / (row[1] + row[2]) for row in rows)
    least = min(row[0] / (row[1] + row[2]) for row in rows)
    print(
        f"{kind:10} {ours:10.1f} {theirs:9.1f} {proofs:9.1f} {ratio:6.2f}   least of all rounds: {least:.2f}",
        flush=True,
    )


def raw(signing: Signing) -> bytes:
    path, headers, body = signing.request()
    lines = [f"POST {path} HTTP/1.1", *(f"{name}: {value}" for name, value in headers.items())]
    return "\r\n".join([*lines, f"Content-Length: {len(body)}", "", ""]).encode() + body


def at_root(request: bytes) -> bytes:
    """The same for the bare server, which answers at `/` alone; as long, by one header more."""
    head, _, rest = request.partition(b"\r\n")
    return b"POST / HTTP/1.1\r\nX-Target: %b\r\n%b" % (head, rest)


def cost_of_proof(own: Issued) -> float:
    """CPU microseconds of the verification of one signature by a key of this kind."""
    signature, key = sign(own.key, MESSAGE), own.key.public_key()
    began = time.process_time()
    for _ in range(REQUESTS):
        if isinstance(key, rsa.RSAPublicKey):
            key.verify(signature, MESSAGE, padding.PKCS1v15(), hashes.SHA256())
        elif isinstance(key, ec.EllipticCurvePublicKey):
            key.verify(signature, MESSAGE, ec.ECDSA(hashes.SHA256()))
        else:
            key.verify(signature, MESSAGE)
    return (time.process_time() - began) / REQUESTS * 1e6


if __name__ == "__main__":
    main()
