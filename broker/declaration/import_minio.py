"""From `mc admin cluster iam export`: a zip archive with the users, groups and policies of a MinIO cluster."""

from collections.abc import Mapping
from typing import Any

from broker.declaration.imported import (
    FoundKeys,
    Imported,
    NoExport,
    Values,
    document_text,
    json_object,
    present,
)

FOLDER = "iam-assets/"
_POLICIES, _USERS, _GROUPS, _KEYS = "policies.json", "users.json", "groups.json", "svcaccts.json"
_USER_POLICIES, _GROUP_POLICIES = "user_mappings.json", "group_mappings.json"
_READ = (_POLICIES, _USERS, _GROUPS, _KEYS, _USER_POLICIES, _GROUP_POLICIES)
# Actions of MinIO's own administration, which no service behind the broker has.
_OWN_SERVICES = ("admin:", "kms:")


def import_minio(files: Mapping[str, str], account_id: str) -> Imported:
    """`files` are the texts of the archive by name, without FOLDER. Raises NoExport."""
    if _POLICIES not in files and _USERS not in files:
        raise NoExport(f"there is neither {FOLDER}{_USERS} nor {FOLDER}{_POLICIES} in it")
    export = {name: json_object(files[name], name) if files.get(name, "").strip() else {} for name in _READ}
    found = _Cluster(export)
    for name in sorted(files.keys() - set(_READ)):
        if files[name].strip() not in ("", "{}", "null"):
            found.no_counterpart.append(
                f"{name}: what it maps has no counterpart; trust policies of roles do that here"
            )
    return found.imported(account_id)


class _Cluster:
    """A cluster's export; secrets and what cannot be declared are collected on the way."""

    def __init__(self, export: Mapping[str, dict[str, Any]]) -> None:
        self._export = export
        self._found = FoundKeys()
        self.no_counterpart: list[str] = []

    def imported(self, account_id: str) -> Imported:
        values = {"accounts": {account_id: self._declared()}}
        return Imported(values, self._found.secrets, (*self.no_counterpart, *self._found.left_out))

    def _declared(self) -> Values:
        policies = {
            name: {"document": text}
            for name, document in self._export[_POLICIES].items()
            if (text := self._policy(name, document))
        }
        groups = {name: self._group(name, policies) for name in self._export[_GROUPS]}
        users = {name: self._user(name, one, policies) for name, one in self._export[_USERS].items()}
        self._name_strangers()
        return present(policies=policies, groups=groups, users=users)

    def _policy(self, name: str, document: Any) -> str:
        """Without the statements of MinIO's own administration; "" where none is left."""
        statements = document.get("Statement", []) if isinstance(document, dict) else []
        statements = [statements] if isinstance(statements, dict) else statements
        kept = [one for one in statements if not _is_own(one)]
        if len(kept) < len(statements):
            self.no_counterpart.append(
                f"policy {name}: {len(statements) - len(kept)} statements on MinIO's administration"
            )
        if not kept:
            return ""
        return document_text({"Version": document.get("Version", "2012-10-17"), "Statement": kept})

    def _attached(self, names: str, of: str, policies: Mapping[str, Any]) -> list[str]:
        wanted = [name for name in names.split(",") if name]
        for name in wanted:
            if name not in policies:
                self.no_counterpart.append(f"{of}: there is no policy {name} here")
        return [name for name in wanted if name in policies]

    def _group(self, name: str, policies: Mapping[str, Any]) -> Values:
        group = self._export[_GROUPS][name]
        if group.get("status") == "disabled":
            # A group that is switched off gives nothing; here it would.
            self.no_counterpart.append(f"group {name}: it is disabled, and has no policies here")
            return {}
        mapped = self._export[_GROUP_POLICIES].get(name, {}).get("policy", "")
        return present(attached_policies=self._attached(mapped, f"group {name}", policies))

    def _user(self, name: str, user: Values, policies: Mapping[str, Any]) -> Values:
        groups = [one for one, group in self._export[_GROUPS].items() if name in (group.get("members") or [])]
        mapped = self._export[_USER_POLICIES].get(name, {}).get("policy", "")
        keys = []
        if user.get("status") == "disabled":
            self.no_counterpart.append(f"user {name}: it is disabled, and has no access key here")
        else:
            keys = self._keys(name, user)
        return present(
            groups=groups,
            attached_policies=self._attached(mapped, f"user {name}", policies),
            access_keys=keys,
        )

    def _name_strangers(self) -> None:
        """Keys of those who are not among the users: of the root user, or of a directory's or a provider's people."""
        for key_id, account in self._export[_KEYS].items():
            if account.get("parent") not in self._export[_USERS]:
                self.no_counterpart.append(
                    f"access key {key_id} of {account.get('parent')}: its owner is not among the users"
                )

    def _keys(self, name: str, user: Values) -> list[Values]:
        """The user's own, whose id is the user's name, and those of its service accounts that restrict nothing."""
        found = {name: user.get("secretKey", "")}
        for key_id, account in self._export[_KEYS].items():
            if account.get("parent") != name:
                continue
            if account.get("sessionPolicy"):
                # Without its policy the key would be allowed all that the user is.
                self.no_counterpart.append(
                    f"access key {key_id} of {name}: it has a policy of its own; assume a role"
                )
            elif account.get("status") == "off":
                self.no_counterpart.append(f"access key {key_id} of {name}: it is switched off")
            elif _ends(account):
                # Here it would never end.
                self.no_counterpart.append(
                    f"access key {key_id} of {name}: it ends at {account['expiration']}; assume a role"
                )
            else:
                found[key_id] = account.get("secretKey", "")
        return [key for key_id, secret in found.items() for key in self._found.declared(name, key_id, secret)]


def _ends(account: Values) -> bool:
    """Of one that does not end MinIO writes the beginning of the year 1, or of 1970."""
    return bool(account.get("expiration")) and not str(account["expiration"]).startswith(("0001-", "1970-"))


def _is_own(statement: Values) -> bool:
    actions = statement.get("Action", [])
    actions = [actions] if isinstance(actions, str) else actions
    return bool(actions) and all(str(action).lower().startswith(_OWN_SERVICES) for action in actions)


def texts_of(archive: Mapping[str, bytes]) -> dict[str, str]:
    """The JSON files of the archive, without the folder that they are in. Raises NoExport."""
    texts = {}
    for name, content in archive.items():
        if name.startswith(FOLDER) and name.endswith(".json"):
            try:
                texts[name.removeprefix(FOLDER)] = content.decode()
            except UnicodeDecodeError:
                raise NoExport(f"{name} is not UTF-8") from None
    return texts
