import pytest

from broker.config import ConfigurationError, load_settings
from broker.config.gateway_faults import is_origin

RIGHT = {
    "BROKER_GATEWAY_LISTEN": "127.0.0.1:9000",
    "BROKER_GATEWAY_STORE_URL": "http://127.0.0.1:9001",
    "BROKER_GATEWAY_ACCESS_KEY_ID": "STORE",
    "BROKER_GATEWAY_SECRET_ACCESS_KEY": "secret",
}


def test_the_settings_of_a_gateway_are_accepted():
    assert load_settings(None, RIGHT).gateway.store_url == "http://127.0.0.1:9001"


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("LISTEN", "9000", "gateway.listen"),
        ("STORE_URL", "http://store/minio", "with nothing behind it"),
        ("STORE_URL", "http://user:secret@store", "with nothing behind it"),
        ("STORE_URL", "file:///etc", "with nothing behind it"),
        ("REGION", "Europe", "no region"),
        ("DOMAINS", "S3.example.org", "no domain"),
        ("ACCESS_KEY_ID", "", "belong together"),
        ("CREDENTIALS_FILE", "/etc/credentials", "set one of them"),
        ("REFUSED_OPERATIONS", "PutObjectTags", "knows no operation"),
        ("WORKERS", "0", "gateway.workers is a number"),
    ],
)
def test_a_fault_is_named_with_its_setting(name, value, words):
    with pytest.raises(ConfigurationError, match=words):
        load_settings(None, {**RIGHT, f"BROKER_GATEWAY_{name}": value})


@pytest.mark.parametrize("url", ["https://store", "http://store:9000", "http://[::1]:9000", "http://store/"])
def test_an_origin_is_a_scheme_and_a_host(url):
    assert is_origin(url)
