"""Makes the doors of proxies and stores from the settings, with the portal where there is one."""

from functools import partial
from typing import TYPE_CHECKING

from msgspec.structs import replace

from broker.authorize.forwarded import canonical_names
from broker.config import Settings
from broker.config.addresses import portal_url_of
from broker.web.dependencies import Dependencies
from broker.web.forward import FindPerson, Forwarding, ForwardRules
from broker.web.forward_sign_in import ForwardListener, HostSignIn
from broker.web.peers import parse_networks
from broker.web.role_sessions import RoleSessions
from broker.web.stores import StoreRules

if TYPE_CHECKING:
    from broker.portal.listener import PortalListener


def make_forwarding(
    settings: Settings,
    dependencies: Dependencies,
    role_sessions: RoleSessions,
    portal: "PortalListener | None",
) -> ForwardListener:
    chosen = settings.authorize
    rules = ForwardRules(
        proxies=parse_networks(chosen.proxies),
        routes=chosen.routes,
        identity_headers=(chosen.arn_header, chosen.account_header, chosen.user_id_header),
        sign_in_url=portal_url_of(settings),
        sign_in_hosts=frozenset(chosen.sign_in_hosts),
    )
    named = [getattr(rules, name) for name in rules.__struct_fields__ if name.endswith("_header")]
    rules = replace(rules, own_headers=canonical_names((*rules.identity_headers, *named)))
    find_person: FindPerson | None = None
    without_own = _as_it_is
    host_sign_in = None
    if portal is not None:
        # Here, for a broker without a portal needs neither aiohttp's server nor jinja2.
        from broker.portal.forwarded_person import find_person as find_portal_person
        from broker.portal.forwarded_person import without_own as without_portals
        from broker.portal.host_sign_in import begin, exchange

        find_person, without_own = partial(find_portal_person, portal.portal), without_portals
        if rules.sign_in_hosts:
            host_sign_in = HostSignIn(
                rules.sign_in_hosts, partial(begin, portal.portal), partial(exchange, portal.portal)
            )
    forwarding = Forwarding(dependencies, rules, role_sessions, without_own, find_person)
    return ForwardListener(forwarding, host_sign_in)


def make_store_rules(settings: Settings) -> StoreRules:
    chosen = settings.stores
    return StoreRules(
        chosen.minio_authorization, chosen.minio_account_id, chosen.keystone_token, chosen.keystone_roles
    )


def _as_it_is(cookie: str) -> str:
    return cookie
