"""The operator's log: JSON lines with the request id. Exact where the client's answer is vague; never a secret."""

import json
import logging
import sys
from datetime import UTC, datetime

from broker.audit.event import Event

_logger = logging.getLogger("broker.web")


class JsonFormatter(logging.Formatter):
    """One JSON object a line: time, level, logger, message, and what `extra={"facts": …}` brings."""

    def format(self, record: logging.LogRecord) -> str:
        line = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
            "pid": record.process,
            **getattr(record, "facts", {}),
        }
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        # The standard encoder: everything in a record, lone surrogates too, becomes one line of ASCII.
        return json.dumps(line, default=str)


def configure_logging(level: str) -> None:
    """Send every logger's lines to standard error, as JSON."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonFormatter())
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
