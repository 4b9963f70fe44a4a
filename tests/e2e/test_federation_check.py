"""`broker federation check` says why: each check in its order, beside a running server and with real providers."""

import os
import subprocess
import sys
from pathlib import Path

from tests.e2e.conftest import ROOT, Server

# Fixtures: an account that knows a provider, and a role that trusts it.
from tests.e2e.test_saml import Scene as SamlScene
from tests.e2e.test_saml import scene as saml_scene  # noqa: F401
from tests.e2e.test_web_identity import Scene, scene  # noqa: F401
from tests.identity_providers.openid_provider import OpenIdProvider


def check(server: Server, *arguments: str, standard_input: str = "") -> tuple[int, str]:
    """Exit status and output."""
    plain = {name: text for name, text in os.environ.items() if not name.startswith(("AWS_", "BROKER_"))}
    ran = subprocess.run(
        [sys.executable, "-m", "broker", "federation", "check", *arguments],
        cwd=ROOT,
        env={**plain, **server.settings},
        input=standard_input,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert not ran.stderr, ran.stderr
    assert not standard_input or standard_input not in ran.stdout, (
        "the assertion is a secret until it expires"
    )
    return ran.returncode, ran.stdout


def row(output: str, name: str) -> str:
    """The line of a check."""
    return next(line for line in output.splitlines() if line.startswith(name))


def test_a_good_token_passes_every_check_and_is_not_used_up(scene: Scene, tmp_path: Path) -> None:  # noqa: F811
    scene.trust_policy(StringEquals={f"{scene.issuer}:repository": "group/project"})
    file = tmp_path / "token"
    file.write_text(scene.token())
    status, output = check(scene.server, "--role", scene.role_arn, str(file))
    assert status == 0, output
    assert "FAILED" not in output
    assert scene.provider_arn in row(output, "provider ")
    assert "group/project" in row(output, f"condition StringEquals {scene.issuer}:repository")
    assert output.rstrip().endswith(":assumed-role/deployer/check")
    assert scene.assume(file.read_text())


def test_a_condition_that_does_not_hold_is_shown_with_the_value_that_it_reads(scene: Scene) -> None:  # noqa: F811
    scene.trust_policy(StringEquals={f"{scene.issuer}:repository": "group/other"})
    status, output = check(scene.server, "--role", scene.role_arn, "-", standard_input=scene.token())
    assert status == 1
    failed = row(output, f"condition StringEquals {scene.issuer}:repository")
    assert failed.split()[3:] == ["FAILED", "group/project", "group/other"]
    assert "AccessDenied: Not authorized to perform sts:AssumeRoleWithWebIdentity" in output


def test_a_missing_permission_for_tags_is_named(scene: Scene) -> None:  # noqa: F811
    token = scene.provider.sign_in("alice", "web")["id_token"]
    status, output = check(scene.server, "--role", scene.role_arn, "-", standard_input=token)
    assert status == 1
    assert "FAILED" in row(output, "permission sts:TagSession")


def test_the_first_check_that_fails_is_the_last_line_of_the_table(
    scene: Scene,  # noqa: F811
    openid_provider: OpenIdProvider,
) -> None:
    header, claims, _ = scene.token().split(".")
    status, output = check(
        scene.server, "--role", scene.role_arn, "-", standard_input=f"{header}.{claims}.AAAA"
    )
    assert status == 1
    assert "FAILED" in row(output, "signature")
    assert "expiry" not in output
    ghost = scene.role_arn.replace("role/deployer", "role/ghost")
    status, output = check(scene.server, "--role", ghost, "-", standard_input=scene.token())
    assert status == 1
    assert "FAILED" in row(output, "role ")


def test_a_saml_response_is_checked_and_not_used_up(saml_scene: SamlScene) -> None:  # noqa: F811
    assertion = saml_scene.sign_in()
    arguments = ("--role", saml_scene.role_arn, "--provider", saml_scene.provider_arn, "-")
    status, output = check(saml_scene.server, *arguments, standard_input=assertion)
    assert status == 0, output
    assert "passed" in row(output, "signature")
    assert saml_scene.assume(assertion)
    status, output = check(saml_scene.server, *arguments, standard_input=assertion)
    assert status == 1
    assert "FAILED" in row(output, "single use")


def test_an_unreadable_assertion_is_an_error(server: Server) -> None:
    ran = subprocess.run(
        [sys.executable, "-m", "broker", "federation", "check", "--role", "x", "/nowhere/token"],
        cwd=ROOT,
        env={**os.environ, **server.settings},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert ran.returncode == 2
    assert "/nowhere/token cannot be read" in ran.stderr
