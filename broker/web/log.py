"""The operator's log, with the request id: JSON lines in a pipe, lines for people in a terminal.

Exact where the client's answer is vague; never a secret.
"""

import json
import logging
import sys
from datetime import UTC, datetime

from broker.audit.event import Event
from broker.trace_context import current_trace

_logger = logging.getLogger("broker.web")


class JsonFormatter(logging.Formatter):
    """One JSON object a line: time, level, logger, message, trace, and what `extra={"facts": …}` brings."""

    def format(self, record: logging.LogRecord) -> str:
        line = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
            "pid": record.process,
            **current_trace(),
            **getattr(record, "facts", {}),
        }
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        # The standard encoder: everything in a record, lone surrogates too, becomes one line of ASCII.
        return json.dumps(line, default=str)


class TextFormatter(logging.Formatter):
    """One line for people: time of day, level, message, then facts as name=value; of a banner, each on its own line."""

    def format(self, record: logging.LogRecord) -> str:
        moment = datetime.fromtimestamp(record.created, UTC).strftime("%H:%M:%S")
        facts = {**getattr(record, "facts", {}), **current_trace()}
        shown = {name: _printable(str(value)) for name, value in facts.items() if value not in (None, "")}
        message = _printable(record.getMessage())
        if getattr(record, "is_banner", False):
            pairs = "".join(f"\n    {name.replace('_', ' '):<12}{value}" for name, value in shown.items())
        else:
            pairs = "".join(f"  {name}={value}" for name, value in shown.items())
        line = f"{moment} {record.levelname.lower():<7} {message}{pairs}"
        return f"{line}\n{self.formatException(record.exc_info)}" if record.exc_info else line


def _printable(text: str) -> str:
    """Without control characters: what clients send could control the operator's terminal."""
    return "".join(one if one.isprintable() else "\ufffd" for one in text)


def configure_logging(level: str, form: str = "auto") -> None:
    """Send every logger's lines to standard error; `form` is that of log.format."""
    handler = logging.StreamHandler(sys.stderr)
    is_text = form == "text" or (form == "auto" and sys.stderr is not None and sys.stderr.isatty())
    handler.setFormatter(TextFormatter() if is_text else JsonFormatter())
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)
    logging.captureWarnings(True)


def log_refusal(event: Event) -> None:
    """Log what was refused, and the exact reason."""
    if _logger.isEnabledFor(logging.INFO):
        facts = {
            "request_id": event.request_id,
            "source": event.source_ip,
            "action": ":".join(
                filter(None, (event.event_source.removesuffix(".amazonaws.com"), event.event_name))
            ),
            "code": event.error_code,
            "reason": event.error_message,
            "principal": event.user_identity.arn,
        }
        _logger.info("refused", extra={"facts": facts})


def log_failure(request_id: str, error: Exception) -> None:
    """Log a fault of ours: the client reads InternalFailure, the operator gets the traceback."""
    _logger.error("internal failure", exc_info=error, extra={"facts": {"request_id": request_id}})
