"""A client that gets an access token by a device code, with a person's open browser: `aws sso login` in a few lines."""

from playwright.sync_api import Page

from tests.e2e.portal import PortalServer


def access_token(server: PortalServer, page: Page) -> str:
    """Of the person who is signed in on `page`, who allows it."""
    oidc = server.client("sso-oidc", None)
    client = oidc.register_client(clientName="a client", clientType="public", scopes=["sso:account:access"])
    named = {"clientId": client["clientId"], "clientSecret": client["clientSecret"]}
    started = oidc.start_device_authorization(**named, startUrl="https://broker.awsapps.com/start")
    page.goto(started["verificationUriComplete"])
    page.get_by_role("button", name="Continue").click()
    page.get_by_role("button", name="Allow access").click()
    page.wait_for_load_state()
    grant = "urn:ietf:params:oauth:grant-type:device_code"
    answer = oidc.create_token(**named, grantType=grant, deviceCode=started["deviceCode"])
    return str(answer["accessToken"])
