"""A broker that delivers trails to a store of its own, and the AWS CLI that validates what is there."""

import gzip
import json
import os
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from tests.e2e.conftest import CLI_1, REGION, Account, Server, sdk
from tests.e2e.gateway import S3, STORE_KEYS
from tests.e2e.scenes import document
from tests.ports import free_port

CLOUDTRAIL = {"Service": "cloudtrail.amazonaws.com"}
Names = list[str]


def bucket_policy(bucket: str, **more: Any) -> str:
    """As AWS documents it for CloudTrail."""
    arn = f"arn:aws:s3:::{bucket}"
    owned = {"StringEquals": {"s3:x-amz-acl": "bucket-owner-full-control", **more}}
    return document(
        {"Effect": "Allow", "Principal": CLOUDTRAIL, "Action": "s3:GetBucketAcl", "Resource": arn},
        {
            "Effect": "Allow",
            "Principal": CLOUDTRAIL,
            "Action": "s3:PutObject",
            "Resource": f"{arn}/*",
            "Condition": owned,
        },
    )


@dataclass
class Trails:
    """`s3` is the gateway in front of the store that trails are delivered to."""

    server: Server
    s3: S3
    buckets: list[str] = field(default_factory=list)

    def elsewhere(self, service: str, account: Account, region: str) -> Any:
        """A client of the broker that signs for another region."""
        keys = account.root
        return sdk().client(
            service,
            region_name=region,
            endpoint_url=self.server.url,
            aws_access_key_id=keys.access_key_id,
            aws_secret_access_key=keys.secret_access_key,
        )

    def new_bucket(self, account: Account, policy: str | None = None) -> str:
        name = f"logs-{account.account_id}-{len(self.buckets)}"
        self.buckets.append(name)
        root = self.s3.client(account.root)
        root.create_bucket(Bucket=name)
        root.put_bucket_policy(Bucket=name, Policy=policy or bucket_policy(name))
        return name

    def keys(self, bucket: str, part: str = "/CloudTrail/") -> Names:
        found = self.s3.store.list_objects_v2(Bucket=bucket).get("Contents", [])
        return sorted(one["Key"] for one in found if part in one["Key"])

    def read(self, bucket: str, key: str) -> Any:
        body = self.s3.store.get_object(Bucket=bucket, Key=key)["Body"].read()
        return json.loads(gzip.decompress(body))

    def records(self, bucket: str) -> list[dict[str, Any]]:
        """All that is delivered, in the order of the names of the files."""
        return [one for key in self.keys(bucket) for one in self.read(bucket, key)["Records"]]

    def names(self, bucket: str) -> Names:
        return [one["eventName"] for one in self.records(bucket)]

    def validate(self, account: Account, trail_arn: str, *more: str, cli: Path = CLI_1) -> tuple[int, str]:
        """Exit status and output of `aws cloudtrail validate-logs` since an hour ago."""
        start = datetime.now(UTC) - timedelta(hours=1)
        plain = {
            name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "BROKER_"))
        }
        files = dict.fromkeys(("AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE"), os.devnull)
        endpoints = {"AWS_ENDPOINT_URL": self.server.url, "AWS_ENDPOINT_URL_S3": self.s3.url}
        command = ["cloudtrail", "validate-logs", "--verbose", "--trail-arn", trail_arn]
        done = subprocess.run(
            [
                cli,
                *command,
                "--start-time",
                start.strftime("%Y-%m-%dT%H:%M:%SZ"),
                "--region",
                REGION,
                *more,
            ],
            env={**plain, **files, **endpoints, **account.root.environment, "AWS_PAGER": ""},
            capture_output=True,
            text=True,
            timeout=60,
        )
        return done.returncode, done.stdout + done.stderr


@contextmanager
def delivering(folder: Path, store: str, **settings: str) -> Iterator[Trails]:
    address = f"127.0.0.1:{free_port()}"
    environment = {
        "BROKER_TRAILS_STORE_URL": f"http://{address}",
        "BROKER_TRAILS_ACCESS_KEY_ID": STORE_KEYS.access_key_id,
        "BROKER_TRAILS_SECRET_ACCESS_KEY": STORE_KEYS.secret_access_key,
        "BROKER_TRAILS_DELIVERY_SECONDS": "1",
        "BROKER_TRAILS_DIGEST_SECONDS": "2",
        **settings,
    }
    data = {"BROKER_GATEWAY_JOURNAL_DATA_EVENTS": "true"}
    with (
        Server(folder, store, environment=environment).running() as server,
        S3(server, folder, data, store_address=address).running() as s3,
    ):
        yield Trails(server, s3)


def eventually(look: Callable[[], Any], seconds: float = 20) -> Any:
    """What `look` finds, once it finds something."""
    deadline = time.monotonic() + seconds
    while not (found := look()):
        assert time.monotonic() < deadline, "it does not come"
        time.sleep(0.1)
    return found
