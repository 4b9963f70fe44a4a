"""From a request to an action on a resource, by the operator's table."""

import pytest
from msgspec.structs import replace

from broker.authorize.forwarded import canonical_names, read_original, smuggled
from broker.authorize.routes import ForwardRoute, faults_of_routes, find_route

ARN = "arn:aws:execute-api:eu-west-1:111122223333:shop"
ORDER = ForwardRoute(
    host="shop.example.com",
    path="/orders/{order}",
    action="execute-api:Invoke",
    resource=f"{ARN}/prod/{{method}}/orders/{{order}}",
    methods=("GET", "PUT"),
    keys={"shop:Order": "{order}"},
)
FILES = ForwardRoute(
    host="files.example.com:8443",
    path="/{bucket}/{key...}",
    action="s3:GetObject",
    resource="arn:aws:s3:::{bucket}/{key}",
)
ROUTES = (ORDER, FILES)


def test_a_request_is_mapped_by_host_method_and_path():
    found = find_route(ROUTES, "GET", "shop.example.com", "/orders/7")
    assert (found.number, found.action, found.resource) == (
        1,
        "execute-api:Invoke",
        f"{ARN}/prod/GET/orders/7",
    )
    assert found.keys == {"shop:order": ("7",)}
    assert find_route(ROUTES, "GET", "SHOP.example.com:8080", "/orders/7").number == 1
    found = find_route(ROUTES, "DELETE", "files.example.com:8443", "/photos/2026/a%20b.jpg")
    assert found.resource == "arn:aws:s3:::photos/2026/a b.jpg"


@pytest.mark.parametrize(
    ("method", "host", "path"),
    [
        ("DELETE", "shop.example.com", "/orders/7"),
        ("get", "shop.example.com", "/orders/7"),
        ("GET", "example.com", "/orders/7"),
        ("GET", "shop.example.com.", "/orders/7"),
        ("GET", "shop.example.com.evil.test", "/orders/7"),
        ("GET", "shop.example.com", "/orders"),
        ("GET", "shop.example.com", "/orders/"),
        ("GET", "shop.example.com", "/orders/7/"),
        ("GET", "shop.example.com", "/orders/7/lines"),
        ("GET", "shop.example.com", "/Orders/7"),
        ("GET", "files.example.com", "/photos/a"),
        ("GET", "files.example.com:8443", "/photos"),
    ],
)
def test_what_no_route_names_is_mapped_by_none(method, host, path):
    assert find_route(ROUTES, method, host, path) is None


def test_the_first_route_that_matches_counts():
    wide = replace(ORDER, path="/{rest...}", methods=(), resource=ARN, keys={})
    assert find_route((ORDER, wide), "GET", "shop.example.com", "/orders/7").number == 1
    assert find_route((ORDER, wide), "GET", "shop.example.com", "/").number == 2
    assert find_route((wide, ORDER), "GET", "shop.example.com", "/orders/7").number == 1


def test_a_capture_cannot_move_the_resource_to_another_account():
    found = find_route(ROUTES, "GET", "shop.example.com", "/orders/a:999988887777:b")
    assert found.resource.startswith(f"{ARN}/prod/GET/orders/")
    assert found.resource.split(":", 5)[4] == "111122223333"


@pytest.mark.parametrize(
    ("changes", "fault"),
    [
        ({"host": "Shop.example.com"}, "host"),
        ({"host": "*.example.com"}, "host"),
        ({"host": "https://shop.example.com"}, "host"),
        ({"methods": ("get",)}, "method"),
        ({"path": "orders"}, "slash"),
        ({"path": "/a//b"}, "empty segment"),
        ({"path": "/a/../b"}, "dot segment"),
        ({"path": "/a%2Fb"}, "not encoded"),
        ({"path": "/{order}/{order}"}, "once"),
        ({"path": "/{order}/{method}"}, "meaning already"),
        ({"path": "/{order...}/x"}, "last segment"),
        ({"path": "/{order}x"}, "character"),
        ({"action": "Invoke"}, "action"),
        ({"action": "execute-api:*"}, "action"),
        ({"action": "iam:CreateUser"}, "broker's own"),
        ({"resource": "shop"}, "not an ARN"),
        ({"resource": f"{ARN}/*"}, "wildcard"),
        ({"resource": "arn:aws:execute-api:{host}:1:x"}, "owner"),
        ({"resource": f"{ARN}/{{customer}}"}, "customer"),
        ({"keys": {"shop:Order": "{line}"}}, "line"),
        ({"keys": {"aws:PrincipalArn": "x"}}, "broker alone"),
        ({"keys": {"order": "x"}}, "not the name"),
        ({"role_arn": "app"}, "role"),
    ],
)
def test_a_table_that_cannot_work_is_refused_when_it_is_loaded(changes, fault):
    assert list(faults_of_routes(ROUTES)) == []
    faults = list(faults_of_routes((replace(ORDER, **changes), FILES)))
    assert any(one.startswith("route 1: ") and fault in one for one in faults), faults


def test_a_route_that_an_earlier_one_hides_is_refused():
    same = replace(ORDER, path="/orders/{id}", resource=ARN, keys={}, methods=("PUT", "POST"))
    assert [one[:8] for one in faults_of_routes((ORDER, same))] == ["route 2:"]
    assert [one[:8] for one in faults_of_routes((replace(ORDER, methods=()), same))] == ["route 2:"]
    assert list(faults_of_routes((ORDER, replace(same, methods=("POST",))))) == []


def original(path, *headers, method="GET"):
    return read_original(method, path, headers, b"")


NGINX = (
    ("x-original-method", "PUT"),
    ("x-original-uri", "/orders/7?a=b"),
    ("x-original-host", "shop.example.com"),
    ("host", "127.0.0.1:9000"),
    ("authorization", "AWS4"),
)


def test_the_original_request_is_read_from_the_headers_of_its_proxy_alone():
    found = original("/forward/x-original", *NGINX, ("x-forwarded-uri", "/admin"))
    assert (found.method, found.host, found.path, found.query) == (
        "PUT",
        "shop.example.com",
        "/orders/7",
        "a=b",
    )
    assert found.headers == (("host", "shop.example.com"), ("authorization", "AWS4"))
    forwarded = tuple((name.replace("x-original", "x-forwarded"), value) for name, value in NGINX)
    assert original("/forward/x-forwarded", *forwarded, ("x-original-uri", "/admin")).path == "/orders/7"
    envoy = original("/forward/envoy/orders/7?a=b", ("host", "shop.example.com"), method="PUT")
    assert (envoy.method, envoy.target) == ("PUT", "/orders/7?a=b")
    assert original("/forward", *NGINX) is None
    assert original("/forward/envoy", *NGINX) is None


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("x-original-method", "get"),
        ("x-original-method", "G ET"),
        ("x-original-uri", "orders"),
        ("x-original-uri", "/a b"),
        ("x-original-uri", "/a\x00"),
        ("x-original-uri", "/é"),
        ("x-original-uri", "/a#b"),
        ("x-original-uri", "http://other/a"),
        ("x-original-host", ""),
        ("x-original-host", "a/b"),
        ("x-original-host", "a b"),
    ],
)
def test_a_proxy_that_says_what_no_request_has_is_refused(name, value):
    headers = tuple((known, value if known == name else own) for known, own in NGINX)
    with pytest.raises(ValueError):
        original("/forward/x-original", *headers)


def test_a_header_of_the_proxy_that_is_missing_or_twice_is_refused():
    for name in ("x-original-method", "x-original-uri", "x-original-host"):
        without = tuple(one for one in NGINX if one[0] != name)
        twice = (*NGINX, (name, "/x"))
        for headers in (without, twice):
            with pytest.raises(ValueError, match=name):
                original("/forward/x-original", *headers)


@pytest.mark.parametrize("name", ["x-broker-arn", "x_broker_arn", "x-broker_arn"])
def test_a_client_that_calls_itself_somebody_is_seen(name):
    ours = canonical_names(("X-Broker-Arn", ""))
    assert smuggled((("accept", "*/*"), (name, "root")), ours) == name
    assert smuggled((("accept", "*/*"), ("x-broker-arns", "root")), ours) is None
