"""The AWS CLI 1 for tests that type many commands: one process of it runs them all, for each would take a second."""

import json
import os
import shlex
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from botocore import xform_name

from broker.operation import OPERATIONS
from tests.e2e.conftest import REGION, Account, Server
from tests.e2e.scim import MODELS

# Writes the names of the operations of its model of the service. Then it reads the words of a command from each line,
# runs it as `aws` does, and writes its status and what it printed.
_RUN_EACH_LINE = """
import contextlib, io, json, sys
from awscli.clidriver import create_clidriver

class Printed(io.TextIOWrapper):
    def __init__(self):
        super().__init__(io.BytesIO(), "utf-8", write_through=True)

    @property
    def text(self):
        return self.buffer.getvalue().decode()

driver, answers = create_clidriver(), sys.stdout
print(json.dumps(driver.session.get_service_model(sys.argv[1]).operation_names), flush=True)
for line in sys.stdin:
    out, err = Printed(), Printed()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            status = driver.main(json.loads(line))
        except SystemExit as end:
            status = end.code
    print(json.dumps([status, out.text, err.text]), file=answers, flush=True)
"""


class CommandLine:
    """`aws SERVICE`, with the keys of an account's root user; `typed` has the commands that succeeded."""

    def __init__(self, process: "subprocess.Popen[str]", service: str) -> None:
        self._process = process
        self._service = service
        self._operations = self._answer()
        self.typed: set[str] = set()

    def __call__(self, command: str, **parameters: Any) -> Any:
        """What it prints, parsed. `parameters` are options whose values are JSON."""
        status, out, err = self._run(command, parameters)
        assert status == 0, f"{command}: {err}"
        self.typed.add(command.partition(" ")[0])
        return json.loads(out) if out else None

    def refused(self, command: str, **parameters: Any) -> str:
        """What it prints of the refusal: the status is that of an error of the service."""
        status, _, err = self._run(command, parameters)
        assert status in (254, 255), (status, err)
        return err

    def never_typed(self) -> set[str]:
        """Commands of the operations which both the broker and this CLI have."""
        known = {xform_name(one, "-") for one in self._operations if (self._service, one) in OPERATIONS}
        assert known >= self.typed
        return known - self.typed

    def _run(self, command: str, parameters: dict[str, Any]) -> tuple[int, str, str]:
        words = [self._service, *shlex.split(command)]
        for name, value in parameters.items():
            words += [f"--{name.replace('_', '-')}", json.dumps(value)]
        print(json.dumps([*words, "--output", "json"]), file=self._process.stdin, flush=True)
        status, out, err = self._answer()
        return status, out, err

    def _answer(self) -> Any:
        assert self._process.stdout is not None
        return json.loads(self._process.stdout.readline())


@contextmanager
def command_line(server: Server, account: Account, service: str) -> Iterator[CommandLine]:
    plain = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "BROKER_"))}
    files = dict.fromkeys(("AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE"), os.devnull)
    places = {"AWS_ENDPOINT_URL": server.url, "AWS_DEFAULT_REGION": REGION, "AWS_DATA_PATH": str(MODELS)}
    command = [sys.executable, "-c", _RUN_EACH_LINE, service]
    with subprocess.Popen(
        command,
        env={**plain, **files, **places, **account.root.environment},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            yield CommandLine(process, service)
        finally:
            process.kill()
