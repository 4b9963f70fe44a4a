"""Bodies that are read before the decision, because policies see them or they name keys; and what is sent instead."""

from broker.errors import Refusal
from broker.gateway import bodies
from broker.gateway.condition_keys import JudgedBody, remaining_days
from broker.gateway.operations import AnsweredBy, S3Operation

LARGEST_BODY = 2 << 20  # bytes

_READ = frozenset({"PutObjectTagging", "PutObjectRetention", "PutObjectLegalHold"})


def reads_body(operation: S3Operation) -> bool:
    """Whether the whole body is read first: those above, and those that the gateway answers itself."""
    return operation.takes_body and (operation.name in _READ or operation.answer is not AnsweredBy.STORE)


def judged_body(operation: S3Operation, body: bytes, now: float) -> tuple[JudgedBody, bytes]:
    """What policies see of the body, and the body for the store: it says exactly what was judged. Raises Refusal."""
    match operation.name:
        case "PutObjectTagging":
            tags = bodies.read_tags(body)
            return JudgedBody(tags=tags), bodies.write_tags(tags)
        case "PutObjectRetention":
            retention = bodies.read_retention(body)
            if retention.retain_until:
                remaining_days(retention.retain_until, now)
            judged = JudgedBody(lock_mode=retention.mode, retain_until=retention.retain_until)
            return judged, bodies.write_retention(retention)
        case "PutObjectLegalHold":
            status = bodies.read_legal_hold(body)
            return JudgedBody(legal_hold=status), bodies.write_legal_hold(status)
        case "CreateBucket":
            return JudgedBody(location=bodies.read_location(body)), body
    return JudgedBody(), body


def too_large() -> Refusal:
    return Refusal("MaxMessageLengthExceeded", "Your request was too large.")
