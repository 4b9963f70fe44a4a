"""IAM by hand: the commands that people type, in both versions of the real AWS CLI."""

import json
import os
import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.conftest import REGION, Account, Server
from tests.e2e.scenes import allow, document, trust

TRUST = document({**trust("x"), "Principal": {"Service": "ec2.amazonaws.com"}})
READS = document(allow("s3:GetObject"))

# Stories that need not wait for one another. Each step: a command of `aws iam`; what stands at a place of its answer.
STORIES = [
    [
        ("create-user --user-name ann --tags Key=team,Value=a", ("User", "UserName"), "ann"),
        ("list-user-tags --user-name ann", ("Tags", 0, "Value"), "a"),
        ("create-access-key --user-name ann", ("AccessKey", "Status"), "Active"),
        ("list-access-keys --user-name ann --max-items 1", ("AccessKeyMetadata", 0, "UserName"), "ann"),
        ("create-group --group-name staff", ("Group", "GroupName"), "staff"),
        ("add-user-to-group --group-name staff --user-name ann", (), None),
        ("get-group --group-name staff", ("Users", 0, "UserName"), "ann"),
    ],
    [
        ("create-policy --policy-name reads --policy-document READS", ("Policy", "Arn"), "POLICY"),
        (
            "get-policy-version --policy-arn POLICY --version-id v1",
            ("PolicyVersion", "Document", "Statement", 0, "Effect"),
            "Allow",
        ),
        ("delete-policy --policy-arn POLICY", (), None),
        ("list-policies --scope Local", ("Policies",), []),
    ],
    [
        ("create-role --role-name web --assume-role-policy-document TRUST", ("Role", "RoleName"), "web"),
        ("put-role-policy --role-name web --policy-name in --policy-document READS", (), None),
        (
            "get-role-policy --role-name web --policy-name in",
            ("PolicyDocument", "Statement", 0, "Action", 0),
            "s3:GetObject",
        ),
        ("create-instance-profile --instance-profile-name m", ("InstanceProfile", "Path"), "/"),
        ("add-role-to-instance-profile --instance-profile-name m --role-name web", (), None),
        (
            "list-instance-profiles-for-role --role-name web",
            ("InstanceProfiles", 0, "InstanceProfileName"),
            "m",
        ),
    ],
]


@pytest.mark.parametrize("server", ["sqlite"], indirect=True)
def test_what_people_type_does_what_it_says(cli: Path, server: Server, account: Account) -> None:
    words = {"READS": READS, "TRUST": TRUST, "POLICY": f"arn:aws:iam::{account.account_id}:policy/reads"}

    def tell(story: list[Any]) -> None:
        for command, place, expected in story:
            answer = typed(cli, server, account, [words.get(word, word) for word in command.split()])
            for step in place:
                answer = answer[step]
            assert not place or answer == words.get(str(expected), expected), command

    with ThreadPoolExecutor(len(STORIES)) as pool:
        list(pool.map(tell, STORIES))


def typed(cli: Path, server: Server, account: Account, command: list[str]) -> Any:
    """What `aws iam COMMAND` printed, parsed; None where it printed nothing."""
    plain = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "BROKER_"))}
    files = dict.fromkeys(("AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE"), os.devnull)
    done = subprocess.run(
        [str(cli), "iam", *command, "--output", "json", "--endpoint-url", server.url],
        env={**plain, **files, **account.root.environment, "AWS_DEFAULT_REGION": REGION, "AWS_PAGER": ""},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, f"{command}: {done.stderr}"
    return json.loads(done.stdout) if done.stdout else None
