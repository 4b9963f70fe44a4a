"""The operator's quick start for systemd, its code blocks run word by word; two functions stand for systemd."""

import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.ports import free_port

ROOT = Path(__file__).parents[1]

# `systemctl enable --now` starts what the unit's ExecStart names, with its Environment= and credential.
SHELL = """
systemd-sysusers() { [ -s "$HERE/usr/lib/sysusers.d/$1" ]; }
systemctl() {
    case "$*" in
    daemon-reload) ;;
    "enable --now broker")
        unit=$HERE/etc/systemd/system/broker.service
        mkdir -p "$HERE/run/broker" "$HERE/var/lib/broker" "$HERE/var/log/broker" "$HERE/credentials"
        cp "$HERE/etc/broker/master.key" "$HERE/credentials/broker-master-key"
        line=$(sed -n "s/^ExecStart=.bin.sh -c '\\(.*\\)'$/\\1/p" "$unit")
        export CREDENTIALS_DIRECTORY=$HERE/credentials BROKER_CONFIG=$HERE/etc/broker/broker.toml
        (cd "$HERE/var/lib/broker"; exec sh -c "$(printf %s "$line" | sed 's/\\$\\$/$/g')") > "$HERE/log" 2>&1 &
        echo $! > "$HERE/pid"
        unset CREDENTIALS_DIRECTORY BROKER_CONFIG
        for _ in $(seq 200); do [ -S "$HERE/run/broker/admin.sock" ] && break; sleep 0.1; done
        sleep 1 ;;
    *) return 1 ;;
    esac
}
"""


def blocks() -> list[str]:
    guide = (ROOT / "deploy" / "README.md").read_text("utf-8")
    section = guide.partition("## Quick start with systemd\n")[2].partition("\n## ")[0]
    return re.findall(r"^```console\n(.*?)^```$", section, re.MULTILINE | re.DOTALL)


@pytest.fixture
def here() -> Iterator[Path]:
    """Stands for the root of the file system; a socket's path has 107 bytes at most."""
    folder = Path(tempfile.mkdtemp(prefix="qs-"))
    for name in ("usr/lib/sysusers.d", "etc/systemd/system", "usr/local/bin", "opt"):
        (folder / name).mkdir(parents=True)
    (folder / "opt" / "broker").symlink_to(ROOT)
    command = folder / "usr" / "local" / "bin" / "broker"
    try:
        yield folder
    finally:
        if (folder / "pid").exists():
            os.kill(int((folder / "pid").read_text()), 15)
            time.sleep(0.5)
        assert command.is_symlink() or not command.exists()
        shutil.rmtree(folder, ignore_errors=True)


def test_the_quick_start_makes_an_account_and_a_user_word_by_word(here: Path):
    written = blocks()
    assert len(written) == 7, "one block for each of the first seven steps"
    api = free_port()
    script = SHELL
    for block in written:
        for path in ("/etc/", "/usr/lib/", "/usr/local/", "/opt/broker"):
            block = re.sub(rf"(?<![\w$]){re.escape(path)}", f"{here}{path}", block)
        # The clone's environment is that of these tests.
        block = block.replace(
            f"{here}/opt/broker/scripts/broker --version", f"{sys.executable} -m broker --version"
        )
        script += block
        if "broker.toml /" in block or "broker.toml " + str(here) in block:
            script += (
                f'sed -i \'s#"/run/#"{here}/run/#; s#"/var/log#"{here}/var/log#; s#sqlite:/var#sqlite:{here}/var#; '
                f"s#127.0.0.1:8080#127.0.0.1:{api}#; s#127.0.0.1:1338#127.0.0.1:0#; s#127.0.0.1:9464#127.0.0.1:0#; "
                f's#"broker-admin"#""#\' {here}/etc/broker/broker.toml\n'
            )
        if "broker.service " in block:
            unit = f"{here}/etc/systemd/system/broker.service"
            python = f"sed -i 's#/opt/broker/.venv/bin/python#{sys.executable}#g' {unit}\n"
            script = script.replace("systemctl daemon-reload", f"{python}systemctl daemon-reload")
    script += "\naws sts get-caller-identity"
    aws = Path(sys.executable).with_name("aws")
    functions = (
        f'broker() {{ "{sys.executable}" -m broker "$@"; }}; aws() {{ "{sys.executable}" "{aws}" "$@"; }}\n'
    )
    plain = {name: text for name, text in os.environ.items() if not name.startswith(("AWS_", "BROKER_"))}
    # Commands find the settings, and so the socket, as they would at /run/broker; the master key they are not told.
    environment = {
        **plain,
        "HERE": str(here),
        "PYTHONPATH": str(ROOT),
        "BROKER_LISTEN_ADMIN": f"{here}/run/broker/admin.sock",
        "HOME": str(here),
        "AWS_PAGER": "",
    }
    done = subprocess.run(
        ["bash", "-euc", functions + script],
        cwd=here,
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
    )
    log = (here / "log").read_text() if (here / "log").exists() else ""
    assert done.returncode == 0, (done.stdout, done.stderr, log)
    assert "arn:aws:iam::123456789012:root" in done.stdout
    assert '"UserName": "admin"' in done.stdout and '"AccessKeyId": "AKIA' in done.stdout
    assert "AdminCommand" in (here / "var" / "log" / "broker" / "audit.jsonl").read_text()
