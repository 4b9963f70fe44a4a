"""A declaration of ten thousand entities is applied in less than ten seconds of processor time."""

import os
import resource
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
USERS = ROLES = 5000


def declaration() -> str:
    lines = ["accounts:", '  "111111111111":', "    name: large", "    users:"]
    lines += [f"      user-{number}: {{tags: {{team: one}}}}" for number in range(USERS)]
    lines.append("    roles:")
    for number in range(ROLES):
        principal = f'{{AWS: "arn:aws:iam::111111111111:user/user-{number}"}}'
        statement = f"{{Effect: Allow, Principal: {principal}, Action: sts:AssumeRole}}"
        trust = f'{{Version: "2012-10-17", Statement: [{statement}]}}'
        lines += [f"      role-{number}:", f"        trust_policy: {trust}"]
    return "\n".join(lines)


def test_ten_thousand_entities_are_applied_in_ten_seconds_of_processor_time(tmp_path: Path) -> None:
    (tmp_path / "large.yaml").write_text(declaration())
    quotas = {"BROKER_QUOTAS_USERS": f"{USERS}", "BROKER_QUOTAS_ROLES": f"{ROLES}"}
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    applied = subprocess.run(
        [sys.executable, "-m", "broker", "apply", "--direct", str(tmp_path / "large.yaml")],
        env={"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), **quotas},
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert applied.returncode == 0, applied.stderr
    assert applied.stdout.splitlines()[-1] == f"{USERS + ROLES + 1} changes"
    assert after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime < 10
