"""Requests that say something which S3 does not know: refused with a reason, and never passed on."""

import pytest

from tests.unit.gateway.conftest import code_of, parsed


@pytest.mark.parametrize("number", ["0", "10001", "000001" + "0" * 5000, "0000019999999"])
async def test_a_number_of_buckets_is_small(stack, number):
    status, body = await stack.ask("GET", "/", f"max-buckets={number}")
    assert (status, code_of(body)) == (400, "InvalidArgument")


async def test_a_source_that_is_empty_is_none(stack):
    status, body = await stack.ask("PUT", "/first/key", headers={"x-amz-copy-source": ""})
    assert (status, code_of(body)) == (400, "InvalidArgument")
    assert stack.store.seen == []


@pytest.mark.parametrize("name", ["x-amz-tagging-directive", "x-amz-metadata-directive"])
async def test_a_copy_takes_with_it_what_its_directive_says_in_one_spelling(stack, name):
    """A store that does not know `replace` copies the tags, which then nobody has judged."""
    for value, code in (
        ("COPY", ""),
        ("REPLACE", ""),
        ("replace", "InvalidArgument"),
        ("", "InvalidArgument"),
    ):
        headers = {"x-amz-copy-source": "/other/key", name: value}
        _, body = await stack.ask("PUT", "/first/key", headers=headers)
        assert code_of(body) == code
    assert len(stack.store.seen) == 2


@pytest.mark.parametrize("stack", [{"BROKER_GATEWAY_ANONYMOUS": "true"}], indirect=True)
async def test_who_proves_nothing_does_not_choose_the_headers_of_an_answer(stack):
    """As S3: else anybody's link shows a public object as a page of the gateway's host."""

    async def asked(query):
        head = (
            f"GET /first/key{query} HTTP/1.1\r\nhost: {stack.host}:{stack.port}\r\nconnection: close\r\n\r\n"
        )
        return parsed(await stack.send(head.encode()))

    status, body = await asked("?response-content-type=text%2Fhtml")
    assert (status, code_of(body)) == (400, "InvalidRequest")
    assert code_of((await asked(""))[1]) == "AccessDenied"  # the bucket is not public
    assert (await stack.ask("GET", "/first/key", "response-content-type=text%2Fhtml"))[0] == 200
