"""The rules of a bucket for pages of other origins: read, shown, and which of them admits a request."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from broker.errors import Refusal
from broker.gateway.cross_origin import MOST_HEADERS, answer_headers, preflight_headers, read_preflight
from broker.gateway.cross_origin_rules import (
    MOST_PATTERNS,
    MOST_RULES,
    read_cross_origin_rules,
    write_cross_origin_rules,
)
from broker.storage.resource_records import CrossOriginRule
from tests.unit.gateway.conftest import code_of, parsed

SHOP = "https://shop.example.org"
NAMES = st.from_regex(r"[A-Za-z-]{1,12}\*?", fullmatch=True)
RULES = st.builds(
    CrossOriginRule,
    id=st.from_regex(r"[a-z<&]{0,20}", fullmatch=True),
    allowed_origins=st.lists(NAMES, min_size=1, max_size=3).map(tuple),
    allowed_methods=st.lists(st.sampled_from(["GET", "PUT", "DELETE"]), min_size=1, max_size=3).map(tuple),
    allowed_headers=st.lists(NAMES, max_size=3).map(tuple),
    expose_headers=st.lists(NAMES.map(lambda name: name.rstrip("*")), max_size=3).map(tuple),
    max_age_seconds=st.none() | st.integers(0, 2**31 - 1),
)


def rule(origins=(SHOP,), methods=("GET",), headers=(), **more):
    return CrossOriginRule(allowed_origins=origins, allowed_methods=methods, allowed_headers=headers, **more)


def document(inner):
    return f"<CORSConfiguration>{inner}</CORSConfiguration>".encode()


def of_rule(more, origin="*", method="GET"):
    given = f"<AllowedOrigin>{origin}</AllowedOrigin><AllowedMethod>{method}</AllowedMethod>"
    return document(f"<CORSRule>{given}{more}</CORSRule>")


def preflight(rules, origin=SHOP, method="GET", headers=""):
    return preflight_headers(rules, read_preflight(origin, method, headers), "OBJECT")


# configurations


@given(st.lists(RULES, min_size=1, max_size=4).map(tuple))
def test_rules_are_shown_as_they_were_read(rules):
    assert read_cross_origin_rules(document(write_cross_origin_rules(rules))) == rules


@pytest.mark.parametrize(
    ("body", "code", "says"),
    [
        (of_rule("", method="PATCH"), "InvalidRequest", "Unsupported method is PATCH"),
        (of_rule("", method="get"), "InvalidRequest", "Unsupported method is get"),
        (of_rule("", origin="https://*.*"), "InvalidRequest", "can not have more than one wildcard"),
        (
            of_rule("<AllowedHeader>*-*</AllowedHeader>"),
            "InvalidRequest",
            "can not have more than one wildcard",
        ),
        (of_rule("<ExposeHeader>x-*</ExposeHeader>"), "InvalidRequest", "contains wildcard"),
        (of_rule("<ExposeHeader>a&#10;b</ExposeHeader>"), "InvalidRequest", "name of a header"),
        (of_rule("<ExposeHeader>a,b</ExposeHeader>"), "InvalidRequest", "name of a header"),
        (of_rule("<AllowedHeader>a b: c</AllowedHeader>"), "InvalidRequest", "name of a header"),
        (of_rule("<AllowedHeader/>"), "InvalidRequest", "name of a header"),
        (of_rule("", origin="https://a,https://b"), "InvalidRequest", "printable"),
        (of_rule("", origin="https://&#233;"), "InvalidRequest", "printable"),
        (of_rule("", origin=""), "InvalidRequest", "printable"),
        (of_rule("<MaxAgeSeconds>-1</MaxAgeSeconds>"), "MalformedXML", ""),
        (of_rule("<MaxAgeSeconds>2147483648</MaxAgeSeconds>"), "MalformedXML", ""),
        (of_rule("<MaxAgeSeconds>1</MaxAgeSeconds>" * 2), "MalformedXML", ""),
        (of_rule("<Other/>"), "MalformedXML", ""),
        (of_rule(f"<ID>{'a' * 256}</ID>"), "MalformedXML", ""),
        (document("<CORSRule><AllowedOrigin>*</AllowedOrigin></CORSRule>"), "MalformedXML", ""),
        (document(""), "MalformedXML", ""),
        (b"<Other/>", "MalformedXML", ""),
        (of_rule("<!-- -->" * 10_000), "EntityTooLarge", ""),
    ],
)
def test_a_configuration_that_s3_refuses_is_refused(body, code, says):
    with pytest.raises(Refusal) as refusal:
        read_cross_origin_rules(body)
    assert refusal.value.code == code
    assert says in refusal.value.message


def test_a_configuration_has_a_hundred_rules_at_most():
    most = tuple([rule()] * MOST_RULES)
    assert read_cross_origin_rules(document(write_cross_origin_rules(most))) == most
    with pytest.raises(Refusal, match="MalformedXML"):
        read_cross_origin_rules(document(write_cross_origin_rules((*most, rule()))))


def test_a_configuration_has_few_names_with_a_wildcard_for_a_stranger_is_compared_with_each():
    names = tuple(f"x-{number}-*" for number in range(MOST_PATTERNS))
    most = (rule(headers=names[:50]), rule(headers=names[50:]))
    assert read_cross_origin_rules(document(write_cross_origin_rules(most))) == most
    with pytest.raises(Refusal, match="wildcard"):
        read_cross_origin_rules(document(write_cross_origin_rules((*most, rule(headers=("*",))))))


# which rule admits a request


@pytest.mark.parametrize(
    ("pattern", "origin", "is_admitted"),
    [
        (SHOP, SHOP, True),
        (SHOP, f"{SHOP}.evil.org", False),
        (SHOP, "https://SHOP.example.org", False),
        ("https://*.example.org", SHOP, True),
        ("https://*.example.org", "https://.example.org", True),
        ("https://*.example.org", "https://example.org", False),
        ("https://*.example.org", "http://shop.example.org", False),
        ("https://a*a", "https://a", False),  # the one letter is not both ends
        ("*", "null", True),
        (SHOP, "null", False),
    ],
)
def test_an_origin_is_named_or_matched_by_one_wildcard(pattern, origin, is_admitted):
    rules = [rule(origins=(pattern,))]
    assert bool(answer_headers(rules, origin, "GET")) is is_admitted
    if is_admitted:
        assert preflight(rules, origin)
    else:
        with pytest.raises(Refusal, match="AccessForbidden"):
            preflight(rules, origin)


def test_the_first_rule_that_admits_a_request_decides_it():
    rules = [
        rule(methods=("GET",), max_age_seconds=1),
        rule(methods=("PUT",), headers=("x-amz-*", "Content-Type"), max_age_seconds=2),
        rule(origins=("*",), methods=("PUT",), headers=("*",), max_age_seconds=3),
    ]

    def age(headers):
        return preflight(rules, method="PUT", headers=headers)["Access-Control-Max-Age"]

    assert age("X-Amz-Date, content-type") == "2"
    assert age("x-amz-date, if-match") == "3"
    assert answer_headers(rules, SHOP, "GET")["Access-Control-Max-Age"] == "1"
    assert answer_headers(rules, SHOP, "DELETE") == {}


def test_headers_that_no_rule_has_are_refused():
    with pytest.raises(Refusal) as refusal:
        preflight([rule(headers=("content-type",))], headers="content-type, x-other")
    assert (refusal.value.code, refusal.value.members) == (
        "AccessForbidden",
        {"Method": "GET", "ResourceType": "OBJECT"},
    )


def test_credentials_are_allowed_to_named_origins_alone():
    named = preflight([rule(expose_headers=("ETag", "x-amz-meta-a"))], headers="")
    assert named == {
        "Access-Control-Allow-Origin": SHOP,
        "Access-Control-Allow-Methods": "GET",
        "Access-Control-Allow-Credentials": "true",
        "Access-Control-Expose-Headers": "ETag, x-amz-meta-a",
        "Vary": "Origin, Access-Control-Request-Headers, Access-Control-Request-Method",
    }
    anyone = preflight([rule(origins=("*",), headers=("*",))], headers="A,b")
    assert anyone["Access-Control-Allow-Origin"] == "*"
    assert anyone["Access-Control-Allow-Headers"] == "a, b"
    assert "Access-Control-Allow-Credentials" not in anyone


@pytest.mark.parametrize(
    ("origin", "method", "headers"),
    [
        (None, "GET", ""),
        (SHOP, None, ""),
        ("https://é", "GET", ""),
        (SHOP, "GET", "a\x01b"),
        (SHOP, "GET", ",".join(f"x-{number}" for number in range(MOST_HEADERS + 1))),
    ],
)
def test_what_no_browser_sends_is_no_preflight(origin, method, headers):
    with pytest.raises(Refusal, match="BadRequest"):
        read_preflight(origin, method, headers)
    assert answer_headers([rule(origins=("*",))], "https://é", "GET") == {}


# at the gateway


async def asked_first(stack, path, *headers):
    lines = [
        f"OPTIONS {path} HTTP/1.1",
        f"Host: {stack.host}:{stack.port}",
        *headers,
        "Connection: close",
        "",
        "",
    ]
    return await stack.send("\r\n".join(lines).encode())


async def test_a_preflight_needs_no_signature_and_reaches_no_store(stack):
    body = of_rule("<AllowedHeader>*</AllowedHeader>", origin=SHOP, method="PUT")
    status, _ = await stack.ask("PUT", "/first", "cors=", body=body, payload="UNSIGNED-PAYLOAD")
    assert status == 200
    asking = (f"Origin: {SHOP}", "Access-Control-Request-Method: PUT")
    for path in ("/first/key", "/first/key?X-Amz-Expires=0&X-Amz-Signature=0&uploadId=x", "/first"):
        answer = await asked_first(stack, path, *asking)
        assert answer.startswith(b"HTTP/1.1 200")
        assert f"Access-Control-Allow-Origin: {SHOP}".encode() in answer
    # That one has no rules, and this one no owner: it looks the same.
    for path in ("/other/key", "/nobodys/key", "/"):
        status, body = parsed(await asked_first(stack, path, *asking))
        assert (status, code_of(body)) == (403, "AccessForbidden")
        assert b"CORS is not enabled for this bucket" in body
    status, body = parsed(await asked_first(stack, "/first/key", "Origin: https://evil.org", asking[1]))
    assert (status, code_of(body)) == (403, "AccessForbidden")
    assert parsed(await asked_first(stack, "/first/key", asking[0]))[0] == 400
    assert stack.store.seen == []


async def test_a_page_reads_answers_and_refusals_by_the_rules_alone(stack):
    await stack.ask("PUT", "/first", "cors=", body=of_rule("", origin=SHOP), payload="UNSIGNED-PAYLOAD")
    stack.store.headers = {"Access-Control-Allow-Origin": "*", "ETag": '"x"'}
    readable = f"Access-Control-Allow-Origin: {SHOP}".encode()
    for origin, is_readable in ((SHOP, True), ("https://evil.org", False)):
        _, head = stack.head("GET", "/first/key", more=[("origin", origin)])
        answer = await stack.send(head)
        assert answer.startswith(b"HTTP/1.1 200")
        assert (readable in answer) is is_readable
        assert answer.count(b"Access-Control-Allow-Origin") == is_readable
        _, head = stack.head("GET", "/first/key", more=[("origin", origin)], payload="0" * 64)
        refusal = await stack.send(head.replace(b"Signature=", b"Signature=0"))
        assert refusal.startswith(b"HTTP/1.1 4")
        assert (readable in refusal) is is_readable
