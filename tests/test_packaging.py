"""The wheel carries everything: built from this tree, installed beside the locked packages, and started elsewhere."""

import os
import re
import subprocess
import sys
import time
import urllib.request
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from broker.version import VERSION
from tests.ports import free_port

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    listing = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    files = subprocess.run(listing, cwd=ROOT, check=True, capture_output=True).stdout
    # Built of a copy: setuptools writes beside the sources.
    for name in filter(None, files.decode().split("\0")):
        if (ROOT / name).is_file():
            copy = folder / "tree" / name
            copy.parent.mkdir(parents=True, exist_ok=True)
            copy.write_bytes((ROOT / name).read_bytes())
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "-w", folder, folder / "tree"]
    built = subprocess.run(command, capture_output=True, text=True)
    assert built.returncode == 0, f"pip fetches setuptools from the package index to build: {built.stderr}"
    (made,) = folder.glob("*.whl")
    return made


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of an environment with the wheel, which has the locked packages of the tests besides."""
    venv = tmp_path_factory.mktemp("installed") / "venv"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", venv], check=True)
    target = [sys.executable, "-m", "pip", "--python", venv / "bin" / "python", "install"]
    subprocess.run([*target, "--quiet", "--no-deps", "--no-index", wheel], check=True)
    locked = next(path for path in sys.path if path.endswith("site-packages"))
    (own,) = venv.glob("lib/python*/site-packages")
    (own / "locked.pth").write_text(f"{locked}\n")
    return venv


def test_the_wheel_has_every_file_that_is_no_source(wheel: Path):
    names = set(zipfile.ZipFile(wheel).namelist())
    data = {
        path.relative_to(ROOT).as_posix()
        for path in (ROOT / "broker").rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    assert data - names == set()
    shared = {name.partition("/data/")[2] for name in names}
    assert {
        "share/broker/config/demo.yaml",
        "share/broker/config/broker.toml",
        "share/broker/config/aws-models/sts/2011-06-15/service-2.sdk-extras.json",
        "share/broker/broker/README.md",
        "share/broker/deploy/README.md",
        "share/broker/deploy/systemd/broker.service",
    } <= shared
    assert any(name.endswith("licenses/LICENSE") for name in names)
    assert not [name for name in names if name.startswith(("tests/", "scripts/"))]


def test_the_installed_command_knows_its_version(installed: Path):
    shown = subprocess.run(
        [installed / "bin" / "broker", "--version"], capture_output=True, text=True, check=True
    )
    assert shown.stdout == f"broker {VERSION}\n"


@pytest.fixture
def demo(installed: Path, tmp_path: Path) -> Iterator[tuple[str, Path]]:
    ports = {name: f"127.0.0.1:{free_port()}" for name in ("API", "METADATA", "OPERATIONS", "PORTAL")}
    plain = {key: value for key, value in os.environ.items() if not key.startswith(("PYTHON", "BROKER_"))}
    settings = {f"BROKER_LISTEN_{name}": address for name, address in ports.items()}
    with (tmp_path / "log").open("wb") as log:
        process = subprocess.Popen(
            [installed / "bin" / "broker", "serve", "--demo"],
            cwd=tmp_path,
            env={**plain, **settings},
            stdout=log,
            stderr=log,
        )
    try:
        yield ports["OPERATIONS"], tmp_path
    finally:
        process.terminate()
        assert process.wait(30) == 0, (tmp_path / "log").read_text()


def fetch(address: str, path: str) -> str:
    deadline = time.monotonic() + 30
    while True:
        try:
            with urllib.request.urlopen(f"http://{address}{path}", timeout=2) as answer:
                return str(answer.read().decode())
        except OSError:
            assert time.monotonic() < deadline
            time.sleep(0.1)


def test_the_installed_broker_serves_the_demo_in_a_folder_of_its_own_and_says_its_version(
    demo: tuple[str, Path],
):
    address, folder = demo
    assert fetch(address, "/readyz") == "ready\n"
    assert fetch(address, "/livez") == f"alive, version {VERSION}\n"
    assert 'broker_build_info{python="3' in fetch(address, "/metrics")
    assert f'version="{VERSION}"' in fetch(address, "/metrics")
    assert VERSION in (folder / "log").read_text()
    assert (folder / "var" / "demo-config").exists()


def test_the_version_is_the_same_everywhere_and_its_changes_are_written_down():
    chart = yaml.safe_load((ROOT / "deploy/helm/broker/Chart.yaml").read_text("utf-8"))
    assert (chart["version"], chart["appVersion"]) == (VERSION, VERSION)
    changes = (ROOT / "CHANGELOG.md").read_text("utf-8")
    assert re.search(rf"^## {re.escape(VERSION)}\b", changes, re.MULTILINE)
    assert "Apache License" in (ROOT / "LICENSE").read_text("utf-8")
    assert "Supported versions" in (ROOT / "SECURITY.md").read_text("utf-8")
