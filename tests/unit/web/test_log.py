"""Every line is a JSON object, whatever is logged."""

import json
import logging
import subprocess
import sys
from pathlib import Path
from typing import Any

from broker.web.log import JsonFormatter


def logged(code: str) -> list[dict[str, Any]]:
    """What a process of its own writes to standard error once logging is configured as the server does it."""
    begin = (
        "import logging, warnings\nfrom broker.web.log import configure_logging\nconfigure_logging('info')\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", begin + code], capture_output=True, check=True, cwd=Path(__file__).parents[3]
    )
    return [json.loads(line) for line in done.stderr.splitlines()]


def test_a_line_says_when_how_bad_where_and_what():
    (line,) = logged(
        "logging.getLogger('broker.web').warning('one\\ntwo', extra={'facts': {'request_id': 'r-1'}})"
    )
    assert line["time"].endswith("+00:00")
    assert (line["level"], line["logger"], line["message"]) == ("warning", "broker.web", "one\ntwo")
    assert line["request_id"] == "r-1"


def test_exceptions_and_warnings_of_others_are_single_lines_too():
    failed, warned = logged(
        "try: raise RuntimeError('in the handler')\n"
        "except RuntimeError: logging.getLogger('asyncio').exception('a task failed')\n"
        "warnings.warn('old ways')"
    )
    assert "RuntimeError: in the handler" in failed["exception"]
    assert "old ways" in warned["message"]


def test_what_json_does_not_know_is_still_a_line():
    record = logging.LogRecord("x", logging.INFO, "file", 1, "\udcff%s", (object,), None)
    record.facts = {"thing": object(), "bytes": b"\xff"}
    assert json.loads(JsonFormatter().format(record))["bytes"] == r"b'\xff'"
