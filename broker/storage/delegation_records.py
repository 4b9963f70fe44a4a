"""Delegation requests. As all records: frozen, append-only with defaults, times in whole epoch seconds."""

from broker.storage.records import Record


class DelegationRequestRecord(Record, frozen=True, kw_only=True):
    """One request, by its id; in the partition of all delegation requests.

    `permission_policy` is the template's text when the request was made: whatever becomes of the template, this is what
    was approved. `state` is the last one that an operation set; that a request has expired, its `expires_at`
    says. The approver is a user (`approver_id` and what follows), or the session whose encoded claims are
    `approver_claims`.
    """

    request_id: str
    requestor_account: str
    workflow_id: str
    description: str
    policy_template_arn: str
    permission_policy: str
    session_duration: int
    created_at: int
    updated_at: int
    expires_at: int
    state: str
    owner_account: str | None = None
    owner_arn: str | None = None
    request_message: str | None = None
    redirect_url: str | None = None
    only_send_by_owner: bool = False
    notes: str | None = None
    rejection_reason: str | None = None
    approved_at: int = 0
    approver_arn: str | None = None
    approver_name: str | None = None
    approver_path: str = "/"
    approver_id: str | None = None
    approver_claims: bytes | None = None
