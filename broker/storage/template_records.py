"""Role templates: what AcquireRole makes roles of. Versions are kept, because roles name the one they were made of."""

from broker.names.arn import iam_arn
from broker.storage.records import Record


class TemplateParameter(Record, frozen=True, kw_only=True):
    """A value that the caller supplies; `type` is one of the model's parameterTypeType."""

    name: str
    type: str
    description: str | None = None
    is_required: bool = True
    default_value: str | None = None


class RoleTemplateVersion(Record, frozen=True, kw_only=True):
    """One minor version. In texts and documents, `@{name}` is the place of a parameter."""

    version_id: str
    minor_version: int
    created_at: int
    role_name: str
    role_path: str = "/"
    role_description: str | None = None
    trust_policy: str
    inline_policies: dict[str, str] = {}
    attached_policies: tuple[str, ...] = ()
    permissions_boundary: str | None = None
    parameters: tuple[TemplateParameter, ...] = ()
    tags: dict[str, str] = {}
    max_session_duration: int = 3600


class RoleTemplate(Record, frozen=True, kw_only=True):
    """A template of an account; its newest version, the last, is the default."""

    account_id: str
    template_name: str
    description: str | None = None
    is_enabled: bool = True
    versions: tuple[RoleTemplateVersion, ...]

    @property
    def arn(self) -> str:
        return iam_arn(self.account_id, f"role-template/{self.template_name}")
