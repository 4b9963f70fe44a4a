"""`broker metadata`: what the operator hands to a container."""

from pathlib import Path

import pytest

from .conftest import Run

ROLE = "arn:aws:iam::111111111111:role/app"
DECLARATION = """
    accounts:
      "111111111111":
        roles:
          app:
            trust_policy:
              Version: "2012-10-17"
              Statement: {Effect: Allow, Principal: {Service: ecs-tasks.amazonaws.com}, Action: "sts:AssumeRole"}
"""


@pytest.mark.parametrize(
    ("listener", "reached"),
    [("127.0.0.1:1338", "127.0.0.1:1338"), ("0.0.0.0:80", "127.0.0.1:80"), ("[::]:80", "[::1]:80")],
)
def test_a_container_gets_a_reachable_address(
    run: Run, monkeypatch: pytest.MonkeyPatch, listener: str, reached: str
) -> None:
    Path("declared.yaml").write_text(DECLARATION)
    assert run("apply", "declared.yaml").status == 0
    monkeypatch.setenv("BROKER_LISTEN_METADATA", listener)
    made = run("metadata", "container", ROLE)
    assert made.shown.startswith(
        f"export AWS_CONTAINER_CREDENTIALS_FULL_URI=http://{reached}/v2/credentials/"
    )
