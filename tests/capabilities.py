"""What a machine must let tests do that are marked `root` or `namespaces`, and the sentence where it does not."""

import os
import shutil
import subprocess
from functools import cache

import pytest


def why_missing(marks: set[str], user: int, why_no_namespaces: str) -> str:
    """The sentence for a test with these marks, run by `user`; empty where nothing is missing."""
    if marks & {"root", "namespaces"} and user != 0:
        return "This test needs root: run `scripts/test` as root, or in a container as its root."
    return why_no_namespaces if "namespaces" in marks else ""


@cache
def why_no_namespaces() -> str:
    """Why there can be no network and mount namespaces here; asked once, as root."""
    if shutil.which("ip") is None or shutil.which("unshare") is None:
        return "This test needs network namespaces: install iproute2 and util-linux."
    tried = subprocess.run(
        ["unshare", "--net", "--mount", "ip", "link", "add", "near", "type", "veth", "peer", "name", "far"],
        capture_output=True,
        text=True,
        check=False,
    )
    if tried.returncode == 0:
        return ""
    said = (tried.stderr.strip().splitlines() or ["no reason given"])[-1]
    return f"This test needs network namespaces (CAP_SYS_ADMIN and CAP_NET_ADMIN), and the kernel refuses: {said}."


def require_capabilities(marks: set[str]) -> None:
    """Skip a test with these marks where the machine lacks what it needs; in CI it fails."""
    if not marks & {"root", "namespaces"}:
        return
    user = os.geteuid()
    asks_kernel = user == 0 and "namespaces" in marks
    missing = why_missing(marks, user, why_no_namespaces() if asks_kernel else "")
    if missing and os.environ.get("CI"):
        pytest.fail(missing, pytrace=False)
    if missing:
        pytest.skip(missing)
