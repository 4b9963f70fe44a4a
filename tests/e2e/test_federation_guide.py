"""The lines of `config/federation.md`, run as they are written, against a real broker.

Issuers that cannot be reached from here have their keys pinned, and the keys are the tests'; SAML providers other than
SimpleSAMLphp have pysaml2 standing in at their metadata's URL.
"""

import json
import os
import re
import ssl
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
import yaml

from tests.e2e.conftest import REACHES_LOOPBACK, REGION, ROOT, Account, Server
from tests.federation_cases import Case, cases
from tests.guide import ACCOUNT, Page, pages
from tests.identity_providers.certificates import KeyPair
from tests.identity_providers.openid_provider import OpenIdProvider
from tests.identity_providers.pysaml2 import PySaml2
from tests.identity_providers.saml import SamlProvider, ServiceProvider, User, aws_attributes
from tests.identity_providers.simplesamlphp import SimpleSamlPhp
from tests.ports import free_port
from tests.unit.assertions.conftest import Provider

PAGES = pages()
GIVEN: dict[str, Case] = {}
for one in cases():
    if one.written["answer"] == "given":
        GIVEN.setdefault(one.page, one)
SAML_PAGES = [title for title in PAGES if title.startswith("SAML: ")]
THUMBPRINTS = "Thumbprints and private authorities"
GUIDED = {
    *("Client certificates", "Custom tokens", "Login with Amazon and Facebook"),
    *("Any OpenID Connect provider", "Closed networks", "Why was it refused?", THUMBPRINTS),
    *GIVEN,
    *SAML_PAGES,
}
JWKS_COMMAND = "get --raw /openid/v1/jwks"


@dataclass(frozen=True)
class Guide:
    """An administrator of the account that the guide is about, with `aws`, `broker` and `kubectl` at hand."""

    server: Server
    account: Account
    folder: Path
    programs: Path
    issuer: Provider

    def environment(self, **more: str) -> dict[str, str]:
        return {
            "PATH": f"{self.programs}:{os.environ['PATH']}",
            "HOME": str(self.folder),
            "AWS_ENDPOINT_URL": self.server.url,
            "AWS_DEFAULT_REGION": REGION,
            "AWS_EC2_METADATA_DISABLED": "true",
            **more,
        }

    def run(self, script: str, environment: Mapping[str, str]) -> str:
        """What the script prints; it must end well."""
        ran = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", script],
            cwd=self.folder,
            env=dict(environment),
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
        )
        assert ran.returncode == 0, f"{script}\n{ran.stdout}{ran.stderr}"
        return ran.stdout

    def administer(self, script: str) -> str:
        return self.run(script, self.environment(**self.account.root.environment, **self.server.settings))

    def follow(self, page: Page, change: Callable[[str], str] = str) -> list[str]:
        """Write the page's files and run its commands, both changed by `change`; what each block printed."""
        for name, text in page.files.items():
            file = self.folder / name
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(change(text))
        return [self.administer(change(script)) for script in page.scripts]

    def write_token(self, title: str) -> None:
        claims = GIVEN[title].claims(time.time())
        (self.folder / "token").write_text(self.issuer.sign(claims))


@pytest.fixture(scope="module")
def issuer() -> Provider:
    return Provider()


@pytest.fixture(scope="module")
def programs(tmp_path_factory: pytest.TempPathFactory, issuer: Provider) -> Path:
    """`kubectl` answers for a cluster of the tests' keys, and nothing else."""
    folder = tmp_path_factory.mktemp("programs")
    (folder / "jwks.json").write_text(json.dumps({"keys": [issuer.public_jwk("rsa")]}))
    texts = {
        "aws": f'exec {Path(sys.executable).with_name("aws")} "$@"',
        "broker": f'PYTHONPATH={ROOT} exec {sys.executable} -m broker "$@"',
        "kubectl": f'[ "$*" = "{JWKS_COMMAND}" ] && cat {folder / "jwks.json"}',
    }
    for name, text in texts.items():
        (folder / name).write_text(f"#!/bin/sh\n{text}\n")
        (folder / name).chmod(0o755)
    return folder


@pytest.fixture(scope="module")
def guided(tmp_path_factory: pytest.TempPathFactory, programs: Path) -> Iterator[tuple[Server, Account]]:
    """A broker that has the keys of every issuer of the guide pinned, and its account."""
    folder = tmp_path_factory.mktemp("guide")
    pinned = {case.issuer for case in GIVEN.values()}
    settings = {
        **REACHES_LOOPBACK,
        "BROKER_FEDERATION_PINNED_KEYS": ",".join(f"{url}={programs / 'jwks.json'}" for url in pinned),
    }
    with Server(folder, f"sqlite:{folder / 'broker.db'}", environment=settings).running() as server:
        yield server, server.new_account(ACCOUNT)


@pytest.fixture
def guide(guided: tuple[Server, Account], tmp_path: Path, programs: Path, issuer: Provider) -> Guide:
    return Guide(*guided, tmp_path, programs, issuer)


def test_every_page_of_the_guide_is_run() -> None:
    assert set(PAGES) == GUIDED


@pytest.mark.parametrize("title", GIVEN)
def test_the_page_of_an_issuer_leads_to_credentials(guide: Guide, title: str) -> None:
    page = PAGES[title]
    guide.write_token(title)
    printed = guide.follow(page)
    if title in CLIENTS:
        arn = CLIENTS[title](guide, page)
    else:
        arn = json.loads(printed[-1][printed[-1].rindex('{\n    "Credentials"') :])["AssumedRoleUser"]["Arn"]
    assert arn.startswith(f"arn:aws:sts::{ACCOUNT}:assumed-role/{page.role[0]}/")


@contextmanager
def answering(
    answer: Callable[[BaseHTTPRequestHandler], Any], tls: ssl.SSLContext | None = None
) -> Iterator[int]:
    """A server at the port that is yielded; what `answer` says is sent as JSON, None as a 403."""

    class Answers(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = answer(self)
            self.send_response(403 if body is None else 200)
            self.end_headers()
            self.wfile.write(json.dumps(body).encode())

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Answers)
    if tls is not None:
        server.socket = tls.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield server.server_port
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@contextmanager
def github(token: str) -> Iterator[dict[str, str]]:
    """The variables of a runner, at whose URL GitHub's answer with the token is."""

    def answer(request: BaseHTTPRequestHandler) -> Any:
        asked = parse_qs(urlsplit(request.path).query)
        may = request.headers["Authorization"] == "Bearer secret" and asked["audience"] == [
            "sts.amazonaws.com"
        ]
        return {"count": len(token), "value": token} if may else None

    with answering(answer) as port:
        yield {
            "ACTIONS_ID_TOKEN_REQUEST_URL": f"http://127.0.0.1:{port}/?api-version=2.0",
            "ACTIONS_ID_TOKEN_REQUEST_TOKEN": "secret",
        }


def github_job(guide: Guide, page: Page) -> str:
    """The steps of the workflow; the ARN that the last one prints."""
    token = guide.folder / "token"
    text = token.read_text()
    token.unlink()
    workflow = page.files[".github/workflows/deploy.yaml"].replace("${{ runner.temp }}", str(guide.folder))
    job = yaml.safe_load(workflow.replace("${{ github.run_id }}", "17"))["jobs"]["deploy"]
    with github(text) as variables:
        environment = guide.environment(**job["env"], **variables) | {"AWS_ENDPOINT_URL": guide.server.url}
        printed = [guide.run(step["run"], environment) for step in job["steps"]]
    return str(json.loads(printed[-1])["Arn"])


def gitlab_job(guide: Guide, page: Page) -> str:
    """The script of the job, whose variables GitLab expands; the ARN that it prints."""
    job = yaml.safe_load(page.files[".gitlab-ci.yml"])["deploy"]
    assert page.provider is not None
    assert job["id_tokens"] == {"BROKER_TOKEN": {"aud": page.provider[1][0]}}
    known = {"$CI_JOB_ID": "302", "$CI_PROJECT_DIR": str(guide.folder / "project")}
    variables = {name: _expanded(value, known) for name, value in job["variables"].items()}
    token = (guide.folder / "token").read_text()
    environment = guide.environment(**variables, BROKER_TOKEN=token) | {"AWS_ENDPOINT_URL": guide.server.url}
    return str(json.loads(guide.run("\n".join(job["script"]), environment))["Arn"])


def _expanded(value: str, known: Mapping[str, str]) -> str:
    for name, text in known.items():
        value = value.replace(name, text)
    return value


def pod(guide: Guide, page: Page) -> str:
    """A process with the variables of the pod's container, where the kubelet has written the token."""
    assert (guide.folder / "cluster-jwks.json").read_bytes() == (guide.programs / "jwks.json").read_bytes()
    spec = yaml.safe_load(page.files["pod.yaml"])["spec"]
    (container,), (volume,) = spec["containers"], spec["volumes"]
    source = volume["projected"]["sources"][0]["serviceAccountToken"]
    assert page.provider is not None
    assert [source["audience"]] == page.provider[1]
    (mount,) = container["volumeMounts"]
    variables = {one["name"]: one["value"] for one in container["env"]}
    assert mount["name"] == volume["name"]
    assert variables["AWS_WEB_IDENTITY_TOKEN_FILE"] == f"{mount['mountPath']}/{source['path']}"
    here = {
        "AWS_WEB_IDENTITY_TOKEN_FILE": str(guide.folder / "token"),
        "AWS_ENDPOINT_URL": guide.server.url,
    }
    printed = guide.run("aws sts get-caller-identity", guide.environment(**{**variables, **here}))
    return str(json.loads(printed)["Arn"])


CLIENTS = {"GitHub Actions": github_job, "GitLab": gitlab_job, "Kubernetes service accounts": pod}


def test_a_real_provider_leads_to_credentials_and_its_token_passes_every_check(
    guide: Guide, openid_provider: OpenIdProvider
) -> None:
    """The provider of the tests stands at the guide's URL."""

    def at_the_provider(text: str) -> str:
        here = openid_provider.issuer.removeprefix("http://")
        return text.replace("https://idp.example.com", openid_provider.issuer).replace(
            "idp.example.com", here
        )

    (guide.folder / "token").write_text(openid_provider.machine_token("pipeline", "urn:sts"))
    printed = guide.follow(PAGES["Any OpenID Connect provider"], at_the_provider)
    assert f'"issuer":"{openid_provider.issuer}"' in printed[0].replace(" ", "")
    assert json.loads(printed[1])["SubjectFromWebIdentityToken"] == "pipeline"
    assert json.loads(printed[2])["Arn"].endswith(":assumed-role/deployer/run-7")
    (checked,) = guide.follow(PAGES["Why was it refused?"])
    assert "FAILED" not in checked
    assert checked.rstrip().endswith(":assumed-role/deployer/check")
    listed = re.findall(r"^\| `([a-z' ]+)`", PAGES["Why was it refused?"].text, re.MULTILINE)
    made = {re.split(r" {2,}", line)[0] for line in checked.splitlines()}
    assert len(listed) >= 4
    assert set(listed) <= made


def test_a_provider_that_no_authority_vouches_for_is_known_by_its_thumbprint(guide: Guide) -> None:
    """Its certificate is self-signed, and the commands find out its thumbprint by themselves."""
    key, certificate = KeyPair("idp").write(guide.folder, "idp")
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(certificate, key)

    def answer(request: BaseHTTPRequestHandler) -> Any:
        if request.path == "/keys":
            return {"keys": [guide.issuer.public_jwk("rsa")]}
        return {"issuer": issuer, "jwks_uri": f"{issuer}/keys"}

    with answering(answer, tls) as port:
        issuer, now = f"https://127.0.0.1:{port}", int(time.time())
        claims = {"iss": issuer, "sub": "pipeline", "aud": "sts.amazonaws.com", "iat": now, "exp": now + 300}
        (guide.folder / "token").write_text(guide.issuer.sign(claims))

        def at_the_provider(text: str) -> str:
            return text.replace("idp.internal:8443", f"127.0.0.1:{port}")

        (printed,) = guide.follow(PAGES[THUMBPRINTS], at_the_provider)
    assert f":assumed-role/{PAGES[THUMBPRINTS].role[0]}/run-7" in printed


@pytest.mark.parametrize("title", [title for title in SAML_PAGES if "SimpleSAMLphp" not in title])
def test_the_page_of_a_saml_provider_leads_to_credentials(guide: Guide, pysaml2: PySaml2, title: str) -> None:
    page = PAGES[title]
    response = sign_in(pysaml2, page)
    (guide.folder / "response").write_text(response)
    check_saml(guide, page, pysaml2)


def sign_in(provider: SamlProvider, page: Page) -> str:
    """The response for a person who has the attributes that the page speaks of."""
    name = f"guided-{page.role[0]}"
    attributes = aws_attributes([offered_role(page)], "alice@example.com")
    for attribute in ("Role", "RoleSessionName"):
        assert (
            f"https://aws.amazon.com/SAML/Attributes/{attribute}" in page.text
            or f"`{attribute}`" in page.text
        )
    provider.add_user(name, User("a password", attributes))
    return provider.sign_in(name, ServiceProvider()).values["SAMLResponse"]


def offered_role(page: Page) -> str:
    name, policy = page.role
    return f"arn:aws:iam::{ACCOUNT}:role/{name},{policy['Statement']['Principal']['Federated']}"


def check_saml(guide: Guide, page: Page, provider: SamlProvider) -> None:
    url = re.findall(r"https://[^\s']+", page.scripts[0])[0]
    printed = guide.follow(page, lambda text: text.replace(url, provider.entity_id))
    answer = json.loads(printed[-1][printed[-1].rindex('{\n    "Credentials"') :])
    role = page.role[0]
    assert answer["AssumedRoleUser"]["Arn"] == f"arn:aws:sts::{ACCOUNT}:assumed-role/{role}/alice@example.com"


def test_simplesamlphp_answers_as_the_page_has_configured_it(
    guide: Guide, simplesamlphp: SimpleSamlPhp
) -> None:
    page = PAGES["SAML: SimpleSAMLphp"]
    simplesamlphp.add_user("alice@example.com", User("her password", {}))
    name = "saml20-sp-remote.php"
    (guide.folder / name).write_text(page.files[name])
    show = f"php -r 'require \"{name}\"; echo json_encode($metadata);'"
    (simplesamlphp.folder / "saml20-sp-remote.json").write_text(guide.run(show, guide.environment()))
    url = f"{simplesamlphp.sign_on_url}?spentityid=urn:amazon:webservices"
    form = simplesamlphp.sign_in_at(url, "alice@example.com")
    (guide.folder / "response").write_text(form.values["SAMLResponse"])
    check_saml(guide, page, simplesamlphp)


@pytest.mark.parametrize("title", ["Closed networks", "Kubernetes service accounts", THUMBPRINTS])
def test_the_settings_of_the_guide_are_good_and_name_a_file_that_must_be_there(
    guide: Guide, title: str
) -> None:
    (block,) = [block for block in PAGES[title].blocks if block.language == "toml"]
    (guide.folder / "broker.toml").write_text(block.text.replace("/etc/broker", str(guide.folder)))
    ports = {
        f"BROKER_LISTEN_{name}": f"127.0.0.1:{free_port()}" for name in ("API", "METADATA", "OPERATIONS")
    }
    settings = {name: value for name, value in guide.server.settings.items() if "_FEDERATION_" not in name}
    environment = guide.environment(**{**settings, **ports})
    check = "broker config check --config broker.toml 2>&1"
    (file,) = re.findall(r"/etc/broker/([a-z-]+\.(?:json|pem))", block.text)
    assert re.search(rf"{file} cannot be (read|used)", guide.run(f"! {check}", environment))
    contents = {".json": (guide.programs / "jwks.json").read_text(), ".pem": KeyPair("an authority").pem}
    (guide.folder / file).write_text(contents[Path(file).suffix])
    guide.run(check, environment)


def test_a_certificate_leads_to_credentials(guide: Guide) -> None:
    """The page's authority, settings and commands, with a broker of the page's settings and the same store."""
    page, own = PAGES["Client certificates"], KeyPair("server-ca")
    own.write(guide.folder, "server-ca")
    KeyPair("server", own).write(guide.folder, "server")
    (guide.folder / "server.crt").rename(guide.folder / "server.pem")
    for name, text in page.files.items():
        (guide.folder / name).write_text(text.replace("/etc/broker", str(guide.folder)))
    make, ask = page.scripts
    guide.run(make, guide.environment())
    arguments = ("--config", str(guide.folder / "broker.toml"))
    server = Server(guide.folder, guide.server.store, arguments)
    server.environment["BROKER_KEYS_MASTER_KEY_FILE"] = guide.server.settings["BROKER_KEYS_MASTER_KEY_FILE"]
    with server.running():
        here = {"AWS_ENDPOINT_URL": f"https://{server.api}"}
        trusted = {"AWS_CA_BUNDLE": "server-ca.crt", "CURL_CA_BUNDLE": "server-ca.crt"}
        environment = guide.environment(**guide.account.root.environment, **trusted) | here
        printed = guide.run(ask, environment)
    assert f"arn:aws:sts::{ACCOUNT}:assumed-role/night/night-job" in printed
