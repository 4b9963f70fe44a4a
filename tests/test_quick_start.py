"""The quick start for systemd, its code blocks run word by word; functions stand for systemd, users and git."""

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
start_unit() {
    unit=$HERE/etc/systemd/system/broker.service
    mkdir -p "$HERE/run/broker" "$HERE/var/lib/broker" "$HERE/var/log/broker" "$HERE/credentials"
    cp "$HERE/etc/broker/master.key" "$HERE/credentials/broker-master-key"
    line=$(sed -n "s/^ExecStart=.bin.sh -c '\\(.*\\)'$/\\1/p" "$unit")
    export CREDENTIALS_DIRECTORY=$HERE/credentials BROKER_CONFIG=$HERE/etc/broker/broker.toml
    (cd "$HERE/var/lib/broker"; exec sh -c "$(printf %s "$line" | sed 's/\\$\\$/$/g')") >> "$HERE/log" 2>&1 &
    echo $! > "$HERE/pid"
    unset CREDENTIALS_DIRECTORY BROKER_CONFIG
    for _ in $(seq 200); do [ -S "$HERE/run/broker/admin.sock" ] && break; sleep 0.1; done
    sleep 1
}
stop_unit() {
    kill "$(cat "$HERE/pid")"
    wait "$(cat "$HERE/pid")"
    rm -f "$HERE/pid" "$HERE/run/broker/admin.sock"
}
systemctl() {
    case "$*" in
    daemon-reload) ;;
    "enable --now broker") start_unit ;;
    "restart broker") stop_unit; start_unit ;;
    "disable --now broker") stop_unit ;;
    *) return 1 ;;
    esac
}
# What would change this machine's users, or this clone, is compared and not done.
usermod() { [ "$*" = "--append --groups broker-admin alice" ]; }
userdel() { [ "$*" = broker ]; }
groupdel() { [ "$*" = broker-admin ]; }
git() { [ "$*" = "-C $HERE/opt/broker pull" ]; }
"""
PATHS = ("/etc/", "/usr/lib/", "/usr/local/", "/opt/broker", "/var/lib/", "/var/log/")
# What is asked between the steps: the number of the block that comes after it.
ASKED = {
    9: "aws sts get-caller-identity\n",
    10: 'aws iam list-users --query "Users[].UserName" --output text\ncp -r "$HERE/var" "$HERE/kept"\n',
}


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


def test_the_quick_start_installs_upgrades_and_uninstalls_word_by_word(here: Path):
    written = blocks()
    assert len(written) == 11, "one block for each of the ten steps, two for the last one"
    api = free_port()
    script = SHELL
    for number, block in enumerate(written, 1):
        script += ASKED.get(number, "")
        for path in PATHS:
            block = re.sub(rf"(?<![\w$]){re.escape(path)}", f"{here}{path}", block)
        # The clone's environment is that of these tests.
        block = block.replace(
            f"{here}/opt/broker/scripts/broker --version", f"{sys.executable} -m broker --version"
        )
        deleted = [word for line in block.splitlines() if line.startswith("rm ") for word in line.split()[1:]]
        assert all(word == "-r" or (word.startswith(f"{here}/") and word[-1] != "/") for word in deleted), (
            "nothing of this machine"
        )
        script += block
        if "broker.toml /" in block or "broker.toml " + str(here) in block:
            script += (
                f'sed -i \'s#"/run/#"{here}/run/#; s#"/var/log#"{here}/var/log#; s#sqlite:/var#sqlite:{here}/var#; '
                f"s#127.0.0.1:8080#127.0.0.1:{api}#; s#127.0.0.1:1338#127.0.0.1:0#; s#127.0.0.1:9464#127.0.0.1:0#; "
                f's#"broker-admin"#""#\' {here}/etc/broker/broker.toml\n'
            )
        if "install" in block and "broker.service " in block:
            unit = f"{here}/etc/systemd/system/broker.service"
            python = f"sed -i 's#/opt/broker/.venv/bin/python#{sys.executable}#g' {unit}\n"
            script = script.replace("systemctl daemon-reload", f"{python}systemctl daemon-reload")
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
    assert "AdminCommand" in (here / "kept" / "log" / "broker" / "audit.jsonl").read_text()
    assert re.search("^admin$", done.stdout, re.MULTILINE), "the user is there after the upgrade"
    assert (here / "kept" / "lib" / "broker" / "before-upgrade.db").stat().st_size > 0
    left = [path for path in here.rglob("*") if "broker" in path.name and "kept" not in path.parts]
    assert [path for path in left if not path.is_relative_to(here / "run")] == [
        here / "credentials" / "broker-master-key"
    ]
    assert (ROOT / "pyproject.toml").exists()
