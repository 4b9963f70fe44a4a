"""People of the LDAP directory as callers: name, distinguished name and groups are condition keys, as at MinIO."""

from broker.access.assumable import account_of_role
from broker.access.caller import Asserted, Caller, Keys
from broker.access.identity_stores import ProvenPerson
from broker.assertions.requested_session import RequestedSession
from broker.names.principal import LdapSubject

_USER_NAME, _USER, _GROUPS = "ldap:username", "ldap:user", "ldap:groups"

_LONGEST_SESSION_KEY = 1024  # characters of its values: a session token has room for 4,096 in all


def ldap_caller_of(
    provider: str, name: str, distinguished_name: str, groups: tuple[str, ...], role_arn: str
) -> Caller:
    """The person before this role is taken. INVARIANT: the password is proven, and the groups give the role."""
    keys: Keys = {_USER_NAME: (name,), _USER: (distinguished_name,), _GROUPS: groups}
    return Caller(
        principal=LdapSubject(provider, name),
        account="",
        session_keys=keys,
        federated_provider=provider,
        asserted=Asserted(
            account=account_of_role(role_arn),
            issuer=provider,
            subject=distinguished_name,
            audience="",
            attributes=RequestedSession(),
            session_keys=kept_session_keys(keys),
            session_name=name,
            role_arn=role_arn,
        ),
    )


def ldap_person(name: str, distinguished_name: str) -> ProvenPerson:
    """As identity stores know a person of the directory: by user name, or by distinguished name."""
    return ProvenPerson(name, {"distinguishedName": distinguished_name})


def kept_session_keys(keys: Keys) -> Keys:
    """Those that stay with the session, for policies of its later requests: all that are not too long."""
    return {key: values for key, values in keys.items() if sum(map(len, values)) <= _LONGEST_SESSION_KEY}
