"""Requests through the whole broker, beside a bare aiohttp handler in the same run.

Each operation is sent over persistent connections to `broker serve` with one worker and then to a bare aiohttp server
that reads the same requests and answers as many bytes; rounds alternate. Requests of STS are signed beforehand, each
with its own session name. Printed are the server's CPU microseconds per request, requests per second, and the ratio
bare/broker of the CPU, the median of all rounds (1.0 would mean that the broker costs no more than aiohttp with
nothing behind it). Servers run on the first core, the client on the last.

    .venv-test/bin/python scripts/bench/requests.py          all operations, SQLite, audit on
    .venv-test/bin/python scripts/bench/requests.py --rounds 5 --seconds 3 assume-role
"""

import argparse
import json
import os
import re
import secrets
import statistics
import subprocess
import sys
import tempfile
import urllib.request
from collections.abc import Callable, Sequence
from pathlib import Path

from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from serving import Server, ask, free_address, load, signed

ACCOUNT, ROOT_KEY_ID, ROOT_SECRET = "111111111111", "AKIABENCHBENCHBENCH0", secrets.token_hex(20)
GOALS = {"assume-role": 0.45, "caller-identity": 0.55, "metadata": 0.9, "forward": 0.5}
REQUESTS = 1000

API, METADATA, OPERATIONS, BARE, FORWARD = (free_address() for _ in range(5))
SHOP = f"arn:aws:execute-api:us-east-1:{ACCOUNT}:shop"
ROUTE = {
    "host": "shop.example.com",
    "path": "/orders/{order}",
    "action": "execute-api:Invoke",
    "resource": f"{SHOP}/{{method}}/orders/{{order}}",
}

BARE_SERVER = f"""
import sys
from aiohttp import web

async def post(request):
    await request.read()
    return web.Response(body=b"x" * int(request.query.get("size", "500")), content_type="text/xml")

async def get(request):
    return web.Response(body=b"x" * int(request.query.get("size", "500")), content_type="text/plain")

application = web.Application()
application.router.add_post("/", post)
application.router.add_get("/{{path:.*}}", get)
host, port = "{BARE}".split(":")
web.run_app(application, host=host, port=int(port), access_log=None, print=None)
"""

INSTANCE = f"""
accounts:
  "{ACCOUNT}":
    roles:
      instance:
        trust_policy:
          Version: "2012-10-17"
          Statement: [{{Effect: Allow, Action: "sts:AssumeRole", Principal: {{Service: ec2.amazonaws.com}}}}]
    instance_profiles:
      instance: {{role: instance}}
instances:
  i-0123456789abcdef0: {{account_id: "{ACCOUNT}", instance_profile: instance}}
"""


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("operations", nargs="*", choices=[*GOALS, []], help="default: all")
    parser.add_argument("--rounds", type=int, default=7, help="alternating rounds of each server (7)")
    parser.add_argument("--seconds", type=float, default=2.0, help="seconds a round (2)")
    parser.add_argument("--store", help="sqlite:PATH or redis://…; default: SQLite in a temporary folder")
    chosen = parser.parse_args()
    os.sched_setaffinity(0, {(os.cpu_count() or 1) - 1})
    with tempfile.TemporaryDirectory() as folder:
        environment = {
            "BROKER_STORE_URL": chosen.store or f"sqlite:{folder}/broker.db",
            "BROKER_KEYS_MASTER_KEY_FILE": f"{folder}/master.key",
            "BROKER_AUDIT_PATH": f"{folder}/audit.jsonl",
            "BROKER_ROOT_ACCOUNT_ID": ACCOUNT,
            "BROKER_ROOT_ACCESS_KEY_ID": ROOT_KEY_ID,
            "BROKER_ROOT_SECRET_ACCESS_KEY": ROOT_SECRET,
            "BROKER_METADATA_LOOPBACK_INSTANCE": "i-0123456789abcdef0",
            "BROKER_LISTEN_FORWARD": FORWARD,
            "BROKER_AUTHORIZE_ROUTES": json.dumps([ROUTE]),
        }
        apply_instance(environment, folder)
        serve = [sys.executable, "-m", "broker", "serve", "--api", API, "--metadata", METADATA]
        serve += ["--operations", OPERATIONS]
        with (
            Server(serve, environment, API, f"http://{OPERATIONS}/readyz", "0") as broker,
            Server([sys.executable, "-c", BARE_SERVER], {}, BARE, f"http://{BARE}/", "0") as bare,
        ):
            measure(chosen, broker, bare)


def apply_instance(environment: dict[str, str], folder: str) -> None:
    """An instance at the loopback address, with a profile: by `broker apply`, before the server starts."""
    file = Path(folder, "bench.yaml")
    file.write_text(INSTANCE)
    command = [sys.executable, "-m", "broker", "apply", str(file)]
    root = Path(__file__).parents[2]
    subprocess.run(
        command, env={**os.environ, **environment}, check=True, cwd=root, stdout=subprocess.DEVNULL
    )


def new_caller(broker: Server) -> tuple[str, str, str]:
    """A user that may assume a role, created by the API: its key, its secret, and the role's ARN."""

    def iam(**parameters: str) -> str:
        return ask(broker, signed(API, parameters, ROOT_KEY_ID, ROOT_SECRET, "iam"))[0]

    principal = {"AWS": f"arn:aws:iam::{ACCOUNT}:root"}
    role = f"arn:aws:iam::{ACCOUNT}:role/bench"
    iam(Action="CreateUser", UserName="bench")
    iam(
        Action="CreateRole",
        RoleName="bench",
        AssumeRolePolicyDocument=document(Principal=principal, Action="sts:AssumeRole"),
    )
    allow = document(Action="sts:AssumeRole", Resource=role)
    iam(Action="PutUserPolicy", UserName="bench", PolicyName="assume", PolicyDocument=allow)
    invoke = document(Action="execute-api:Invoke", Resource=f"{SHOP}/*")
    iam(Action="PutUserPolicy", UserName="bench", PolicyName="invoke", PolicyDocument=invoke)
    answer = iam(Action="CreateAccessKey", UserName="bench")
    key_id, secret = (re.findall(f"<{name}>(.*?)<", answer)[0] for name in ("AccessKeyId", "SecretAccessKey"))
    return key_id, secret, role


def document(**statement: object) -> str:
    return json.dumps({"Version": "2012-10-17", "Statement": [{"Effect": "Allow", **statement}]})


def metadata_request() -> bytes:
    """A credentials GET with an IMDSv2 token, as an SDK sends it."""
    put = urllib.request.Request(
        f"http://{METADATA}/latest/api/token",
        method="PUT",
        headers={"X-aws-ec2-metadata-token-ttl-seconds": "21600"},
    )
    token = urllib.request.urlopen(put).read().decode()
    path = "/latest/meta-data/iam/security-credentials/instance"
    return (
        f"GET {path} HTTP/1.1\r\nHost: {METADATA}\r\nX-aws-ec2-metadata-token: {token}\r\n"
        f"User-Agent: Boto3/1.44.5\r\n\r\n"
    ).encode()


def forwarded_requests(key_id: str, secret: str) -> list[bytes]:
    """What nginx asks about signed requests of a client, each of another order."""
    requests = []
    for order in range(REQUESTS):
        path = f"/orders/{order}"
        original = AWSRequest("GET", f"http://shop.example.com{path}", {"Host": "shop.example.com"})
        SigV4Auth(Credentials(key_id, secret), "execute-api", "us-east-1").add_auth(original)
        own = "".join(f"{name}: {value}\r\n" for name, value in original.headers.items() if name != "Host")
        requests.append(
            (
                f"GET /forward/x-original HTTP/1.1\r\nHost: {FORWARD}\r\nX-Original-Method: GET\r\n"
                f"X-Original-URI: {path}\r\nX-Original-Host: shop.example.com\r\nX-Forwarded-For: 192.0.2.7\r\n"
                f"X-Forwarded-Proto: https\r\n{own}\r\n"
            ).encode()
        )
    return requests


def measure(chosen: argparse.Namespace, broker: Server, bare: Server) -> None:
    key_id, secret, role = new_caller(broker)
    metadata_listener = broker.at(METADATA)
    kinds: dict[str, tuple[Server, Callable[[], list[bytes]]]] = {
        "assume-role": (
            broker,
            lambda: [
                signed(
                    API,
                    {"Action": "AssumeRole", "RoleArn": role, "RoleSessionName": f"session-{number}"},
                    key_id,
                    secret,
                )
                for number in range(REQUESTS)
            ],
        ),
        "caller-identity": (broker, lambda: [signed(API, {"Action": "GetCallerIdentity"}, key_id, secret)]),
        "metadata": (metadata_listener, lambda: [metadata_request()]),
        "forward": (broker.at(FORWARD), lambda: forwarded_requests(key_id, secret)),
    }
    print(
        f"{'operation':16} {'broker us':>10} {'bare us':>9} {'broker/s':>9} {'bare/s':>9} {'ratio':>6} {'goal':>5}"
    )
    for name in chosen.operations or GOALS:
        server, make = kinds[name]
        ours, theirs = [], []
        for _ in range(chosen.rounds):
            requests = make()
            ours.append(load(server, requests, chosen.seconds))
            size = len(ask(server, requests[0])[0])
            theirs.append(load(bare, [sized(request, size) for request in requests], chosen.seconds))
        print_line(name, ours, theirs)


def sized(request: bytes, size: int) -> bytes:
    """The same request, with the size of the bare server's answer."""
    return request.replace(b" HTTP/1.1\r\n", b"?size=%d HTTP/1.1\r\n" % size, 1)


def print_line(name: str, ours: Sequence[tuple[float, float]], theirs: Sequence[tuple[float, float]]) -> None:
    cpu, rate = (statistics.median(row[column] for row in ours) for column in (0, 1))
    bare_cpu, bare_rate = (statistics.median(row[column] for row in theirs) for column in (0, 1))
    # Round by round: other load on the machine slows down both servers of a round alike.
    ratio = statistics.median(bare[0] / broker[0] for broker, bare in zip(ours, theirs, strict=True))
    quiet, bare_quiet = min(row[0] for row in ours), min(row[0] for row in theirs)
    print(
        f"{name:16} {cpu:10.1f} {bare_cpu:9.1f} {rate:9.0f} {bare_rate:9.0f} "
        f"{ratio:6.2f} {GOALS[name]:5.2f}   quietest rounds: "
        f"{quiet:.1f} {bare_quiet:.1f} {bare_quiet / quiet:.2f}",
        flush=True,
    )


if __name__ == "__main__":
    main()
