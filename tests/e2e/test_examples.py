"""`config/examples/`: what each README says is run here, is. nginx's files are run by `test_proxy.py`."""

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest
import yaml

from broker.app import Broker
from broker.names.secret import SecretKey
from broker.protocol.model import VERSIONS
from broker.sealing.session import open_session
from tests.e2e.conftest import CLI_1, REGION, ROOT, Account, Keys, Server
from tests.e2e.scenes import allow, in_broker, new_role, new_user, trust
from tests.e2e.test_session_operations import session
from tests.e2e.web_identity import new_scene
from tests.identity_providers.openid_provider import OpenIdProvider
from tests.identity_providers.processes import require_installed, require_program
from tests.s3_endpoint import S3Endpoint

EXAMPLES = ROOT / "config" / "examples"
FOLDERS = {
    "authzen",
    "forward-auth",
    "gitlab",
    "nginx",
    "older-cli",
    "private-authority",
    "s3",
    "sdks",
    "terraform",
}
# Services of the broker for which Terraform's provider has no resources that the broker could make.
NOT_TERRAFORMS = {"eks-auth", "sso", "sso-oidc", "signin"}

REGIONS = {"AWS_REGION": REGION, "AWS_DEFAULT_REGION": REGION}

pytestmark = pytest.mark.parametrize("server", ["sqlite"], indirect=True)


def run(command: Sequence[str | Path], folder: Path, environment: Mapping[str, str]) -> str:
    """What the command prints; it must end well."""
    plain = {name: os.environ[name] for name in ("PATH", "LANG") if name in os.environ}
    ended = subprocess.run(
        command,
        cwd=folder,
        env={
            **plain,
            "HOME": str(folder),
            "AWS_PAGER": "",
            "AWS_EC2_METADATA_DISABLED": "true",
            **environment,
        },
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert ended.returncode == 0, f"{command}: {ended.stdout}{ended.stderr}"
    return ended.stdout


def signed_by(keys: Keys) -> dict[str, str]:
    return {"aws_access_key_id": keys.access_key_id, "aws_secret_access_key": keys.secret_access_key}


def as_root_of(server: Server, account: Account) -> dict[str, str]:
    return {**account.root.environment, "AWS_ENDPOINT_URL": server.url, **REGIONS}


def copied(name: str, folder: Path) -> Path:
    return Path(shutil.copytree(EXAMPLES / name, folder / name))


def test_each_example_explains_its_files_in_a_few_lines(server: Server) -> None:
    folders = {path.name for path in EXAMPLES.iterdir() if path.is_dir()}
    assert folders == FOLDERS
    listed = (EXAMPLES / "README.md").read_text("utf-8")
    for name in folders:
        assert f"`{name}/`" in listed
        text = (EXAMPLES / name / "README.md").read_text("utf-8")
        assert len(text.splitlines()) <= 15
        files = {path.name for path in (EXAMPLES / name).iterdir()} - {"README.md"}
        assert files and [file for file in files if file not in text] == []


def test_the_provider_block_of_terraform_leaves_no_service_to_aws(server: Server) -> None:
    text = (EXAMPLES / "terraform" / "main.tf").read_text("utf-8")
    found = re.search(r"^  endpoints \{\n(.*?)^  \}", text, re.MULTILINE | re.DOTALL)
    assert found is not None
    endpoints = dict(re.findall(r"^ +(\w+) += (\S+)$", found[1], re.MULTILINE))
    assert set(endpoints) == {name.replace("-", "") for name in VERSIONS.keys() - NOT_TERRAFORMS}
    assert set(endpoints.values()) == {"var.endpoint"}


def test_terraform_parses_its_example(server: Server, tmp_path: Path) -> None:
    terraform = shutil.which("terraform") or shutil.which("tofu")
    if terraform is None:
        pytest.skip("neither terraform nor tofu is installed")
    run([terraform, "fmt", "-check", "-diff", copied("terraform", tmp_path)], tmp_path, {})


@pytest.fixture
def role(server: Server, account: Account) -> str:
    return new_role(server, account, "reader", trust(account.account_id))


@pytest.fixture
def alice(server: Server, account: Account) -> dict[str, str]:
    """Root may assume no role, as on AWS: a user does."""
    keys = new_user(server, account, "alice", allow("sts:AssumeRole"))
    return {**keys.environment, "AWS_ENDPOINT_URL": server.url, **REGIONS}


def check_whoami(said: str, account: Account) -> None:
    alice, reader = said.splitlines()
    assert alice == f"arn:aws:iam::{account.account_id}:user/alice"
    assert reader.startswith(f"arn:aws:sts::{account.account_id}:assumed-role/reader/")


def test_boto3_says_who_it_is(account: Account, alice: dict[str, str], role: str, tmp_path: Path) -> None:
    program = EXAMPLES / "sdks" / "whoami.py"
    check_whoami(run([sys.executable, program, role], tmp_path, alice), account)


def test_the_sdk_for_javascript_says_who_it_is(
    account: Account, alice: dict[str, str], role: str, tmp_path: Path
) -> None:
    modules = require_installed(ROOT / ".tools" / "aws-sdk-js" / "node_modules", "the AWS SDK for JavaScript")
    folder = copied("sdks", tmp_path)
    (folder / "node_modules").symlink_to(modules)
    check_whoami(run([require_program("node"), "whoami.mjs", role], folder, alice), account)


def test_gofmt_parses_the_program_in_go(server: Server, tmp_path: Path) -> None:
    gofmt = shutil.which("gofmt")
    if gofmt is None:
        pytest.skip("go is not installed")
    assert run([gofmt, "-l", EXAMPLES / "sdks", EXAMPLES / "authzen"], tmp_path, {}) == ""


@pytest.mark.parametrize("file", ["ask.sh", "ask.py", "ask.mjs"])
def test_services_ask_in_each_language(server: Server, account: Account, tmp_path: Path, file: str) -> None:
    bucket = f"arn:aws:s3:::photos-{account.account_id}"
    asker = new_user(server, account, "asker", allow("broker:EvaluateAccess"))
    new_user(server, account, "reader", allow("s3:GetObject"))
    iam = session().client("iam", endpoint_url=server.url, region_name=REGION, **signed_by(account.root))
    iam.register_foreign_resource(ResourceArn=bucket)
    folder = copied("authzen", tmp_path)
    programs = {"sh": "sh", "py": sys.executable, "mjs": "node"}
    if file == "ask.mjs":
        modules = require_installed(
            ROOT / ".tools" / "aws-sdk-js" / "node_modules", "the AWS SDK for JavaScript"
        )
        (folder / "node_modules").symlink_to(modules)
    here = {**asker.environment, "AWS_ENDPOINT_URL": server.url, **REGIONS}
    question = [f"arn:aws:iam::{account.account_id}:user/reader", "s3:GetObject", f"{bucket}/a"]
    program = require_program(programs[file.rpartition(".")[2]])
    assert json.loads(run([program, file, *question], folder, here))["decision"] is True
    question[1] = "s3:PutObject"
    assert json.loads(run([program, file, *question], folder, here))["decision"] is False


def test_clients_that_are_told_of_a_private_authority_trust_the_broker(
    server: Server, tmp_path: Path
) -> None:
    folder = copied("private-authority", tmp_path)
    run(["sh", "make-certificates.sh"], folder, {})
    settings = (folder / "broker.toml").read_text()
    for file in re.findall(r'"(.+)"', settings):
        settings = settings.replace(file, str(folder / file))
    (folder / "broker.toml").write_text(settings)
    arguments = ("--config", str(folder / "broker.toml"))
    own = Server(folder, f"sqlite:{folder / 'broker.db'}", arguments)
    with own.running():
        account = own.new_account()
        ask = [CLI_1, "sts", "get-caller-identity", "--query", "Arn", "--output", "text"]
        here = {**as_root_of(own, account), "AWS_ENDPOINT_URL": f"https://{own.api}", "AWS_MAX_ATTEMPTS": "1"}
        said = run(ask, folder, {**here, "AWS_CA_BUNDLE": "authority.pem"})
        assert said == f"arn:aws:iam::{account.account_id}:root\n"
        with pytest.raises(AssertionError, match="CERTIFICATE_VERIFY_FAILED"):
            run(ask, folder, here)


def test_a_job_of_gitlab_gets_credentials_without_keys(
    server: Server, account: Account, openid_provider: OpenIdProvider, tmp_path: Path
) -> None:
    folder = copied("gitlab", tmp_path)
    issuer = openid_provider.issuer.removeprefix("http://")
    changes = {
        "https://gitlab.example.com": openid_provider.issuer,
        "gitlab.example.com": issuer,
        "project_path:my-group/my-project:ref_type:branch:ref:main": "pipeline",
        "111111111111": account.account_id,
        "https://broker.example.com": server.url,
    }
    for file in folder.iterdir():
        text = file.read_text()
        for what, here in changes.items():
            text = text.replace(what, here)
        file.write_text(text)
    path = {"PATH": f"{CLI_1.parent}:{os.environ['PATH']}"}
    run(["sh", "trust-gitlab.sh"], folder, {**as_root_of(server, account), **path})
    job = yaml.safe_load((folder / "gitlab-ci.yml").read_text())["deploy"]
    trusted = json.loads((folder / "trust.json").read_text())["Statement"]["Condition"]["StringEquals"]
    assert job["id_tokens"]["BROKER_TOKEN"]["aud"] == trusted[f"{issuer}:aud"]
    known = {"$CI_JOB_ID": "302", "$CI_PROJECT_DIR": str(folder / "project")}
    variables: dict[str, str] = job["variables"]
    for name, value in known.items():
        variables = {key: text.replace(name, value) for key, text in variables.items()}
    token = openid_provider.machine_token("pipeline", "urn:sts")
    said = run(["sh", "-euc", "\n".join(job["script"])], folder, {**variables, **path, "BROKER_TOKEN": token})
    assert said == f"arn:aws:sts::{account.account_id}:assumed-role/gitlab-deployer/job-302\n"
    assert (folder / "project.token").stat().st_mode & 0o077 == 0


def test_rclone_has_no_keys_and_signs_with_the_brokers(
    server: Server, account: Account, openid_provider: OpenIdProvider, tmp_path: Path
) -> None:
    scene = new_scene(server, account, openid_provider)
    (tmp_path / "token").write_text(scene.token())

    def secret_of(token: str) -> SecretKey:
        async def open_token(broker: Broker) -> SecretKey:
            return open_session(broker.keyrings.sessions(), token).secret

        return in_broker(server, open_token)

    rclone = [require_program("rclone"), "--config", EXAMPLES / "s3" / "rclone.conf", "--retries=1"]
    with S3Endpoint(server.url, secret_of).running() as s3:
        # The tests' store is in one region, and gives two pages in the first version of the list.
        changed = {"ENDPOINT": s3.url, "LIST_VERSION": "1", "REGION": REGION}
        here = {f"RCLONE_CONFIG_STORE_{name}": value for name, value in changed.items()}
        environment = {**scene.environment(tmp_path / "token"), **here}
        said = run([*rclone, "lsf", "store:bucket"], tmp_path, environment)
    assert said.split() == ["first", "second"]
    assert len(s3.callers) == 2 and s3.callers[0].startswith("ASIA")
