"""Checks of requested session durations, with AWS's error messages. All durations are seconds.

STS API Reference, `DurationSeconds` of AssumeRole, GetSessionToken and GetFederationToken. The model's own range
(900 to 43,200 or 129,600) is checked earlier (`protocol.constraints`).
"""

from broker.credentials.mint import LONGEST_CHAINED_SESSION, LONGEST_ROOT_SESSION, LONGEST_USER_SESSION
from broker.errors import Refusal, validation_error

DEFAULT_ROLE_SESSION = 3_600
DEFAULT_USER_SESSION = 43_200


def role_session_duration(requested: int | None, longest: int, *, chained: bool) -> int:
    """For a role whose MaxSessionDuration is `longest`; raises ValidationError for more than is allowed.

    The role's own limit is checked before that of role chaining (measured on AWS STS).
    """
    duration = DEFAULT_ROLE_SESSION if requested is None else requested
    if duration > longest:
        raise validation_error(
            "The requested DurationSeconds exceeds the MaxSessionDuration set for this role."
        )
    if chained and duration > LONGEST_CHAINED_SESSION:
        raise validation_error(
            "The requested DurationSeconds exceeds the 1 hour session limit for roles assumed by role chaining."
        )
    return duration


def user_session_duration(requested: int | None, *, is_root: bool) -> int:
    """For GetSessionToken and GetFederationToken: the root user's is limited to an hour, without an error."""
    duration = DEFAULT_USER_SESSION if requested is None else requested
    return min(duration, LONGEST_ROOT_SESSION if is_root else LONGEST_USER_SESSION)


def scoped_session_duration(requested: int | None, expires_at: int, now: float) -> int:
    """For GetScopedCredentials by a session that expires at `expires_at`, which nothing outlives.

    Raises InsufficientSessionLifetime.
    """
    left = expires_at - int(now)
    if requested is None:
        return left
    if requested > left:
        raise Refusal(
            "InsufficientSessionLifetime",
            f"The requested DurationSeconds of {requested} is greater than the remaining lifetime of the calling "
            f"session, which is {left} seconds.",
        )
    return requested
