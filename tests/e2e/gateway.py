"""A gateway as an operator starts it, in front of `rclone serve s3`, beside a broker on the same store of records."""

import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from botocore import UNSIGNED
from botocore.config import Config

from tests.e2e.conftest import ROOT, Keys, Server, sdk
from tests.ports import free_port

RCLONE = Path(sys.executable).with_name("rclone")
STORE_KEYS = Keys("STOREKEY", "STORESECRET")
NEXT_STORE_KEYS = Keys("STOREKEY2", "STORESECRET2")
# What rclone's server takes for something else: it ignores the query, or the header, that makes the operation.
NOT_OF_RCLONE = "PutObjectTagging,DeleteObjectTagging,PutObjectRetention,PutObjectLegalHold,UploadPartCopy"


@dataclass
class S3:
    """A running gateway, the store behind it, and the broker that knows the accounts."""

    server: Server
    folder: Path
    environment: dict[str, str] = field(default_factory=dict)
    address: str = field(default_factory=lambda: f"127.0.0.1:{free_port()}")
    store_address: str = field(default_factory=lambda: f"127.0.0.1:{free_port()}")
    process: subprocess.Popen[bytes] | None = None
    scheme: str = "http"

    @property
    def url(self) -> str:
        return f"{self.scheme}://{self.address}"

    @property
    def log(self) -> str:
        return (self.folder / "gateway.log").read_text()

    def resident(self) -> int:
        """Resident memory of the gateway in KiB."""
        assert self.process is not None
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        return int(status.split("VmRSS:")[1].split()[0])

    def client(self, keys: Keys | None, *, url: str = "", verify: str | None = None, **options: Any) -> Any:
        """A boto3 client, with signature version 4 for presigned URLs, too."""
        given = (
            {}
            if keys is None
            else {
                "aws_access_key_id": keys.access_key_id,
                "aws_secret_access_key": keys.secret_access_key,
                "aws_session_token": keys.session_token,
            }
        )
        version = UNSIGNED if keys is None else "s3v4"
        chosen = {"signature_version": version, "s3": {"addressing_style": "path"}, **options}
        config = Config(retries={"max_attempts": 0}, **chosen)
        return sdk().client(
            "s3", region_name="us-east-1", endpoint_url=url or self.url, verify=verify, config=config, **given
        )

    @property
    def store(self) -> Any:
        """The store itself, as only the gateway and its operator reach it."""
        return self.client(STORE_KEYS, url=f"http://{self.store_address}")

    @contextmanager
    def running(self) -> Iterator["S3"]:
        with ExitStack() as stack:
            stack.enter_context(_started(self._serve_store(), self.store_address))
            self.process = stack.enter_context(_started(self._serve(), self.address))
            yield self

    def _serve_store(self) -> subprocess.Popen[bytes]:
        data = self.folder / "data"
        data.mkdir()
        pairs = (STORE_KEYS, NEXT_STORE_KEYS)
        keys = [f"--auth-key={one.access_key_id},{one.secret_access_key}" for one in pairs]
        with (self.folder / "rclone.log").open("ab") as log:
            return subprocess.Popen(
                [RCLONE, "serve", "s3", data, "--addr", self.store_address, *keys],
                env={**os.environ, "RCLONE_CONFIG": str(self.folder / "none.conf")},
                stdout=log,
                stderr=log,
            )

    def _serve(self) -> subprocess.Popen[bytes]:
        settings = {
            "BROKER_GATEWAY_LISTEN": self.address,
            "BROKER_GATEWAY_STORE_URL": f"http://{self.store_address}",
            "BROKER_GATEWAY_ACCESS_KEY_ID": STORE_KEYS.access_key_id,
            "BROKER_GATEWAY_SECRET_ACCESS_KEY": STORE_KEYS.secret_access_key,
            "BROKER_GATEWAY_REFUSED_OPERATIONS": NOT_OF_RCLONE,
            **self.environment,
        }
        plain = {
            name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "BROKER_"))
        }
        with (self.folder / "gateway.log").open("ab") as log:
            return subprocess.Popen(
                [sys.executable, "-m", "broker", "gateway"],
                cwd=ROOT,
                env={**plain, **self.server.settings, **settings},
                stdout=log,
                stderr=log,
            )


@contextmanager
def _started(process: subprocess.Popen[bytes], address: str) -> Iterator[subprocess.Popen[bytes]]:
    """Until it listens; stopped in the end."""
    host, _, port = address.partition(":")
    deadline = time.monotonic() + 30
    try:
        while True:
            try:
                socket.create_connection((host, int(port)), 1).close()
                break
            except OSError:
                assert process.poll() is None, f"it ended: {process.args}"
                assert time.monotonic() < deadline, f"it does not listen: {process.args}"
                time.sleep(0.05)
        yield process
    finally:
        process.terminate()
        process.wait(30)


def program(name: str) -> str:
    """One of the clients that come with the locked dependencies, else of the machine."""
    own = Path(sys.executable).with_name(name)
    return str(own) if own.exists() else str(shutil.which(name))
