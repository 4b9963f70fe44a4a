"""InspectOpenIDConnectProvider: who may have an issuer looked at, and what is asked."""

from collections.abc import Sequence

from msgspec.structs import replace

from broker.federation.provider_inspection import ProviderInspector
from broker.federation.reach import Answer, FetchFailed, Reach
from broker.protocol.shapes import iam as shapes

URL = "https://id.example.com"


class Host:
    """Nothing is there; notes what is asked for, and with which thumbprints."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, tuple[str, ...]]] = []

    async def get(self, url: str, thumbprints: Sequence[str] = ()) -> Answer:
        self.asked.append((url, tuple(thumbprints)))
        raise FetchFailed(f"{url} cannot be reached")


def inspecting(iam) -> Host:
    host = Host()
    reach = Reach(plain_http=True)
    iam.federation = replace(
        iam.federation, inspector=ProviderInspector(host, lambda: iam.now, reach), reach=reach
    )
    return host


def request(url=URL):
    return shapes.InspectOpenIDConnectProviderRequest(url=url)


async def test_a_step_that_fails_is_an_answer(iam):
    inspecting(iam)
    answer = await iam(request())
    assert answer.issuer == URL
    (check,) = answer.checks
    assert (check.name, check.passed) == ("discovery document", False)
    assert "cannot be reached" in check.found


async def test_a_provider_that_is_registered_is_asked_as_it_is_registered(iam):
    host = inspecting(iam)
    await iam(
        shapes.CreateOpenIDConnectProviderRequest(
            url=URL.replace("https", "http"), client_id_list=("app",), thumbprint_list=("a" * 40,)
        )
    )
    assert (await iam(request())).issuer == "http://id.example.com"
    assert host.asked == [("http://id.example.com/.well-known/openid-configuration", ("a" * 40,))]


async def test_nothing_is_fetched_for_who_has_no_permission(iam):
    host = inspecting(iam)
    await iam(shapes.CreateUserRequest(user_name="bob"))
    code, message = await iam.refused(request(), user="bob")
    assert code == "AccessDenied"
    assert "iam:InspectOpenIDConnectProvider" in message
    assert host.asked == []


async def test_what_no_issuer_can_be_is_refused(iam):
    host = inspecting(iam)
    for url in (
        "ftp://id.example.com",
        "https://user@id.example.com",
        "https://id.example.com?x",
        "id.example",
    ):
        assert (await iam.refused(request(url)))[0] == "ValidationError"
    assert host.asked == []
