"""Tokens as each provider documents them, judged by the trust policies that the guide shows."""

import json

import msgspec
import pytest

from broker.protocol.shapes.sts import AssumeRoleWithWebIdentityRequest
from broker.storage.records import OpenIdConnectProvider, Role
from broker.storage.store import OPEN_ID_CONNECT_PROVIDERS, ROLES
from tests.federation_cases import Case, cases
from tests.guide import ACCOUNT as GUIDE_ACCOUNT
from tests.guide import Page, pages
from tests.unit.assertions.conftest import Provider
from tests.unit.federating import no_federation
from tests.unit.sts.conftest import ACCOUNT, NOW, Sts

CASES = cases()
PAGES = pages()
IDP, STRANGER = Provider(), Provider()


def provider_of(page: Page) -> list[OpenIdConnectProvider]:
    if page.provider is None:
        return []  # one that every account knows
    url, client_ids = page.provider
    return [OpenIdConnectProvider(account_id=ACCOUNT, url=url, client_ids=tuple(client_ids), created_at=0)]


def role_of(page: Page) -> Role:
    name, policy = page.role
    text = json.dumps(policy).replace(GUIDE_ACCOUNT, ACCOUNT)
    return Role(
        account_id=ACCOUNT, role_name=name, role_id="AROAGUIDE", created_at=0, assume_role_policy=text
    )


async def register(sts: Sts, case: Case) -> AssumeRoleWithWebIdentityRequest:
    """What the page registers; the request that trades the case's token for the page's role."""
    page = PAGES[case.page]
    await sts.put(OPEN_ID_CONNECT_PROVIDERS, *provider_of(page))
    await sts.put(ROLES, role_of(page))
    sts.federation = no_federation(NOW, {case.issuer: IDP.keys})
    return AssumeRoleWithWebIdentityRequest(
        role_arn=f"arn:aws:iam::{ACCOUNT}:role/{page.role[0]}",
        role_session_name="session",
        web_identity_token=IDP.sign(case.claims(NOW)),
    )


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
async def test_a_documented_token_is_judged_by_the_guides_trust_policy(sts: Sts, case: Case):
    request, wanted = await register(sts, case), case.written
    if wanted["answer"] != "given":
        code, _ = await sts.refused(request)
        check = wanted.get("check")
        reason = f"check failed: {check}: " if check else "not authorized to perform: sts:AssumeRole"
        assert code == wanted["answer"]
        assert reason in sts.reason
        return
    answer, claims = await sts(request), case.claims(NOW)
    assert answer.subject_from_web_identity_token == wanted.get("subject", claims["sub"])
    audience = claims["aud"] if isinstance(claims["aud"], str) else claims["aud"][0]
    assert answer.audience == wanted.get("audience", audience)
    assert answer.provider.endswith(wanted.get("provider", claims["iss"].removeprefix("https://")))


@pytest.mark.parametrize(
    "case", [case for case in CASES if case.written["answer"] == "given"], ids=lambda case: case.name
)
async def test_the_same_claims_signed_by_another_are_refused(sts: Sts, case: Case):
    request = await register(sts, case)
    forged = msgspec.structs.replace(request, web_identity_token=STRANGER.sign(case.claims(NOW)))
    assert (await sts.refused(forged))[0] == "InvalidIdentityToken"
    assert sts.reason.startswith("check failed: signature: ")


def test_each_page_of_a_provider_that_signs_tokens_has_cases_that_are_given_and_that_are_refused():
    answers: dict[str, set[bool]] = {}
    for case in CASES:
        answers.setdefault(case.page, set()).add(case.written["answer"] == "given")
    signing = {title for title, page in PAGES.items() if page.commands("aws", "iam", "create-role")}
    left = {
        title
        for title in signing
        if title.startswith(("SAML", "Any", "Client", "Custom", "Login", "Thumbprints"))
    }
    assert answers == {title: {True, False} for title in signing - left}
