import pytest
from hypothesis import given
from hypothesis import strategies as st

from broker.web.target import UnclearHost, origin_form, require_host, split_host


@pytest.mark.parametrize(
    ("target", "origin"),
    [
        ("http://here:8080/a/b?c=%20", "/a/b?c=%20"),
        ("HTTP://HERE:8080/", "/"),
        ("https://here:8080/", "/"),
        ("http://here:8080", "/"),
        ("http://here:8080?a=b/c", "/?a=b/c"),
        ("http://here:8080//a/../b", "//a/../b"),
        ("http://here:8080/http://there/", "/http://there/"),
    ],
)
def test_the_absolute_form_is_read_as_the_origin_form(target: str, origin: str):
    assert origin_form(target.encode(), "here:8080") == (origin.encode(), "here:8080")


@pytest.mark.parametrize(
    "target", ["/", "/http://there/", "*", "there:443", "ftp://here/", "http:/here/", "httpx://here/", "here"]
)
def test_other_forms_stay_as_they_are(target: str):
    assert origin_form(target.encode(), "here") == (target.encode(), "here")


@pytest.mark.parametrize(
    ("target", "host"),
    [
        ("http://here/", "here"),
        ("http://here:80/", "HERE"),
        ("https://HERE/", "here:443"),
        ("http://here:/", "here:80"),
        ("http://[::1]:8080/", "[::1]:8080"),
    ],
)
def test_one_host_may_be_spelled_in_two_ways_and_the_header_stays_as_it_was_signed(target: str, host: str):
    assert origin_form(target.encode(), host) == (b"/", host)


@pytest.mark.parametrize(
    ("target", "host"),
    [
        ("http://there/", "here"),
        ("http://here:81/", "here"),
        ("https://here/", "here:80"),
        ("http://here./", "here"),
        ("http://here/", ""),
        ("http://user@here/", "here"),
        ("http://user:password@here/", "here"),
        ("http:///path", "here"),
        ("http://:80/", "here"),
        ("http://here:port/", "here:port"),
        ("http://\xff/", "here"),
        ("http://" + "a" * 400 + "/", "a" * 400),
    ],
)
def test_a_request_line_that_names_no_host_or_another_is_refused(target: str, host: str):
    with pytest.raises(UnclearHost):
        origin_form(target.encode("latin-1"), host)


def test_without_a_host_header_the_request_lines_host_counts():
    assert origin_form(b"http://Here:80/a", None) == (b"/a", "Here:80")


@pytest.mark.parametrize(
    ("host", "split"),
    [
        ("", ("", "")),
        ("here", ("here", "")),
        ("my_host-1.example.:8080", ("my_host-1.example.", "8080")),
        ("169.254.169.254", ("169.254.169.254", "")),
        ("[fd00:ec2::254]:80", ("fd00:ec2::254", "80")),
        ("[fe80::1%25eth0]", ("fe80::1%25eth0", "")),
        ("::1", ("::1", "")),  # as AWS's Common Runtime sends it
        ("fd00:ec2::23", ("fd00:ec2::23", "")),
        ("fe80::1%eth0", ("fe80::1%eth0", "")),
        ("fe80::1%\udcff", None),
        ("fe80::1%a b", None),
        ("a:b", None),
        ("[here]", None),
        ("[::1", None),
        ("[::1]x", None),
        ("1:2:3", None),
        ("here, there", None),
        ("here/path", None),
        ("user@here", None),
        ("h\xe9re", None),
        ("here\n", None),
        ("a" * 321, None),
    ],
)
def test_a_host_is_a_name_or_an_address_and_maybe_a_port(host: str, split: tuple[str, str] | None):
    assert split_host(host) == split


def test_http_1_1_wants_a_host_and_http_1_0_does_not():
    require_host(None, "1.0")
    for version in ("1.0", "1.1"):
        require_host("here", version)
        with pytest.raises(UnclearHost):
            require_host("here, there", version)
    with pytest.raises(UnclearHost):
        require_host(None, "1.1")


@given(st.binary(max_size=40), st.none() | st.text(max_size=20))
def test_whatever_is_sent_there_is_a_target_or_a_refusal(rest: bytes, host: str | None):
    try:
        target, named = origin_form(b"http://" + rest, host)
    except UnclearHost:
        return
    assert target == b"http://" + rest or (target.startswith(b"/") and named is not None)
