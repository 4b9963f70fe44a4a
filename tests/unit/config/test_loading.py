"""Settings: where they come from, what is refused, and that `config/broker.toml` explains every one."""

import re
import tomllib
from pathlib import Path

import pytest

from broker.app import open_engine
from broker.config import (
    ConfigurationError,
    Settings,
    field_of,
    load_settings,
    setting_names,
)
from broker.config.settings import StoreSettings, variable_of
from broker.federation.directory_login import require_usable
from broker.names.secret import SecretKey, shown_url

CONFIG = Path(__file__).parents[3] / "config"
EXPLAINED = CONFIG / "broker.toml"
GUIDE = CONFIG / "README.md"


def refusal(tmp_path: Path, text: str = "", **environment: str) -> str:
    """The faults of an invalid file and environment."""
    file = tmp_path / "broker.toml"
    file.write_text(text)
    with pytest.raises(ConfigurationError) as refused:
        load_settings(file, environment)
    return str(refused.value).replace(str(file), "FILE")


def test_without_file_and_variables_the_defaults_are_used() -> None:
    assert load_settings(None, {}) == Settings()


def test_the_explained_file_holds_exactly_the_defaults() -> None:
    assert load_settings(EXPLAINED, {}) == Settings()


@pytest.mark.parametrize("name", setting_names())
def test_every_setting_is_explained_with_its_default(name: str) -> None:
    section, _, key = name.partition(".")
    tables = tomllib.loads(EXPLAINED.read_text())
    default = field_of(name).default
    shown = default.reveal() if isinstance(default, SecretKey) else default
    assert tables[section][key] == (list(shown) if isinstance(shown, tuple) else shown)
    body = EXPLAINED.read_text().split(f"[{section}]\n")[1].split("\n[")[0]
    assert re.search(rf"^# .{{15,}}[.)]\n{key} = ", body, re.MULTILINE), f"a sentence must stand above {key}"


@pytest.mark.parametrize("file", sorted(CONFIG.glob("*.toml")), ids=lambda file: file.name)
def test_every_example_file_loads(file: Path) -> None:
    assert isinstance(load_settings(file, {}), Settings)


@pytest.mark.parametrize("text", re.findall(r"```toml\n(.*?)```", GUIDE.read_text(), re.DOTALL))
def test_every_example_of_the_guide_loads(text: str, tmp_path: Path) -> None:
    file = tmp_path / "broker.toml"
    file.write_text(text)
    rules = load_settings(file, {"BROKER_LDAP_BIND_PASSWORD": "x"}).ldap
    assert len(rules.mapped_roles) == 1
    require_usable(rules)


def test_an_option_overrides_a_variable_and_a_variable_overrides_the_file(tmp_path: Path) -> None:
    file = tmp_path / "broker.toml"
    file.write_text('[listen]\napi = "127.0.0.1:1"\nmetadata = "127.0.0.1:1"\noperations = "127.0.0.1:1"\n')
    environment = {"BROKER_LISTEN_API": "127.0.0.1:2", "BROKER_LISTEN_METADATA": "127.0.0.1:2"}
    listen = load_settings(file, environment, {"listen.api": "127.0.0.1:3"}).listen
    assert (listen.api, listen.metadata, listen.operations) == (
        "127.0.0.1:3",
        ("127.0.0.1:2",),
        "127.0.0.1:1",
    )


def test_a_variable_is_read_as_its_settings_type() -> None:
    settings = load_settings(
        None,
        {
            "BROKER_LISTEN_WORKERS": "3",
            "BROKER_KEYS_CREATE_MASTER_KEY": "false",
            "BROKER_REQUESTS_TRUSTED_PROXIES": "10.0.0.0/8, ::1",
        },
    )
    assert settings.listen.workers == 3
    assert settings.keys.create_master_key is False
    assert settings.requests.trusted_proxies == ("10.0.0.0/8", "::1")


def test_a_list_in_a_variable_is_json_where_its_entries_have_commas() -> None:
    given = {"BROKER_LDAP_SERVERS": ' ["ldaps://a.example", "x, y"]'}
    with pytest.raises(ConfigurationError, match=r"ldap.servers: 'x, y' is not ldaps://HOST"):
        load_settings(None, given)
    with pytest.raises(ConfigurationError, match=r"ldap.servers is a list of texts, not '\[1\]'"):
        load_settings(None, {"BROKER_LDAP_SERVERS": "[1]"})
    with pytest.raises(ConfigurationError, match=r"ldap.servers is a list of texts, not '\[x'"):
        load_settings(None, {"BROKER_LDAP_SERVERS": "[x"})


def test_a_list_that_a_variable_leaves_empty_is_empty(tmp_path: Path) -> None:
    file = tmp_path / "broker.toml"
    file.write_text('[requests]\ntrusted_proxies = ["10.0.0.0/8"]\n')
    assert load_settings(file, {"BROKER_REQUESTS_TRUSTED_PROXIES": ""}).requests.trusted_proxies == ()


def test_variables_of_others_are_left_alone() -> None:
    others = {"PROMETHEUS_MULTIPROC_DIR": "/x", "AWS_REGION": "eu-west-1", "BROKERAGE": "1"}
    assert load_settings(None, others) == Settings()


def test_the_root_user_comes_from_the_three_variables_of_the_bootstrap() -> None:
    root = load_settings(
        None,
        {
            "BROKER_ROOT_ACCOUNT_ID": "123456789012",
            "BROKER_ROOT_ACCESS_KEY_ID": "AKIAEXAMPLE0000000",
            "BROKER_ROOT_SECRET_ACCESS_KEY": "a-secret",
        },
    ).root
    assert (root.account_id, root.access_key_id) == ("123456789012", "AKIAEXAMPLE0000000")
    assert root.secret_access_key.reveal() == "a-secret"


@pytest.mark.parametrize("key_id", ["short", "é" * 20, "１" * 20, "AKIA-EXAMPLE-0000000", "A" * 129])
def test_a_root_key_id_has_letters_digits_and_underscores_of_ascii(tmp_path: Path, key_id: str) -> None:
    given = {
        "BROKER_ROOT_ACCOUNT_ID": "123456789012",
        "BROKER_ROOT_ACCESS_KEY_ID": key_id,
        "BROKER_ROOT_SECRET_ACCESS_KEY": "a-secret",
    }
    assert "root.access_key_id has 16 to 128 letters, digits and underscores" in refusal(tmp_path, **given)


def test_a_secret_may_lie_in_a_file(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("from-a-file\n")
    settings = load_settings(
        None,
        {
            "BROKER_ROOT_ACCOUNT_ID": "123456789012",
            "BROKER_ROOT_ACCESS_KEY_ID": "AKIAEXAMPLE0000000",
            "BROKER_ROOT_SECRET_ACCESS_KEY_FILE": str(secret),
        },
    )
    assert settings.root.secret_access_key.reveal() == "from-a-file"


def test_a_secret_in_a_file_that_cannot_be_read_names_the_variable() -> None:
    with pytest.raises(ConfigurationError, match="BROKER_ROOT_SECRET_ACCESS_KEY_FILE: cannot read /nowhere"):
        load_settings(None, {"BROKER_ROOT_SECRET_ACCESS_KEY_FILE": "/nowhere"})


def test_a_secret_in_a_file_that_is_no_text_is_refused_without_being_quoted(tmp_path: Path) -> None:
    (tmp_path / "secret").write_bytes(b"hunter2\xff")
    with pytest.raises(ConfigurationError, match=r"BROKER_STORE_URL_FILE: .*secret is not UTF-8") as refused:
        load_settings(None, {"BROKER_STORE_URL_FILE": str(tmp_path / "secret")})
    assert "hunter2" not in str(refused.value)


def test_a_secret_that_is_given_twice_is_refused(tmp_path: Path) -> None:
    both = {"BROKER_ROOT_SECRET_ACCESS_KEY": "x", "BROKER_ROOT_SECRET_ACCESS_KEY_FILE": "/y"}
    assert "both name the secret" in refusal(tmp_path, **both)


def test_a_secret_shows_in_no_error_and_no_repr(tmp_path: Path) -> None:
    assert "hunter2" not in refusal(tmp_path, '[keys]\nmaster_key = ["hunter2"]')
    settings = load_settings(None, {"BROKER_KEYS_MASTER_KEY": "hunter2"})
    assert "hunter2" not in repr(settings)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[listenn]\n", "FILE:1: there is no section [listenn]; did you mean [listen]?"),
        ("[listen]\nworker = 2\n", "FILE:2: [listen] has no setting worker; did you mean workers?"),
        ("[store]\nplace = 2\n", "FILE:2: [store] has no setting place; it knows url"),
        ("api = 1\n", "FILE:1: api is not in a [section]"),
        ('[listen]\nworkers = "2"\n', "FILE:2: listen.workers is a whole number, not '2'"),
        ("[store]\nurl = 2\n", "FILE:2: store.url is a text, not this value"),
        ("[requests]\ntrusted_proxies = '10.0.0.1'\n", "requests.trusted_proxies is a list of texts"),
        (
            "[ldap]\nprovider = 'x.example'\n",
            "ldap.servers is empty: without a server nothing else of [ldap] is used",
        ),
        ("[log]\n[listen]\n\nworkers = 0\n", "FILE:4: listen.workers is a number from 1 to 256"),
        ("[listen]\napi = 'nowhere'\n", "listen.api: 'nowhere' is not HOST:PORT"),
        ("[listen]\napi = 'here:80²'\n", "listen.api: 'here:80²' is not HOST:PORT"),
        (f"[listen]\napi = 'here:{'1' * 5000}'\n", "is not HOST:PORT"),
        ("[listen]\napi = 'here:65536'\n", "is not HOST:PORT"),
        ("[store]\nurl = 'mysql:x'\n", "store.url: 'mysql:x' is no store; write sqlite:PATH or redis://HOST"),
        ("[audit]\nsync = 'always'\n", "audit.sync is one of none, second, each"),
        ("[log]\nlevel = 'loud'\n", "log.level is one of debug, info, warning, error"),
        ("[requests]\ntrusted_proxies = ['10.0.0.0/99']\n", "10.0.0.0/99 is no address or CIDR network"),
        (
            "[listen]\nhost_names = ['http://here']\n",
            "listen.host_names: 'http://here' is no host name; write it as",
        ),
        ("[listen]\nhost_names = ['here', 'there:80']\n", "listen.host_names: 'there:80' is no host name"),
        ("[listen]\nhost_names = ['*.example.com']\n", "'*.example.com' is no host name"),
        ("[listen]\nhost_names = ['']\n", "'' is no host name"),
        (
            "[policies]\nservice_principals = ['scheduler']\n",
            "'scheduler' is no service principal; write a name with",
        ),
        ("[listen]\nhost_names = ['bücher.example']\n", "'bücher.example' is no host name"),
        ("[tls]\nkey_file = 'x'\n", "tls.certificate_file and tls.key_file belong together"),
        ("[quotas]\nusers = -1\n", "quotas.users cannot be negative"),
        ("[keys]\nstaged_for_minutes = 2000\n", "keys.staged_for_minutes cannot be longer"),
        ("[root]\naccount_id = '123456789012'\n", "belong together: set all three or none"),
        ("[listen\n", "FILE: "),
        (
            "[[authorize.routes]]\nhost = 'a.example'\nacton = 'a:B'\n",
            "FILE:1: authorize.routes is a list of tables with the names that config/broker.toml explains, "
            "not this value: table 1: Object contains unknown field `acton`",
        ),
    ],
)
def test_an_invalid_file_is_refused_with_its_faults(tmp_path: Path, text: str, said: str) -> None:
    assert said in refusal(tmp_path, text)


@pytest.mark.parametrize(
    ("variable", "said"),
    [
        ({"BROKER_STORE_URI": "x"}, "BROKER_STORE_URI is no setting; did you mean BROKER_STORE_URL?"),
        ({"BROKER_LOG_LEVEL_FILE": "x"}, "BROKER_LOG_LEVEL_FILE is no setting"),
        (
            {"BROKER_LISTEN_WORKERS": "two"},
            "BROKER_LISTEN_WORKERS: listen.workers is a whole number, not 'two'",
        ),
        ({"BROKER_KEYS_CREATE_MASTER_KEY": "maybe"}, "keys.create_master_key is true or false, not 'maybe'"),
    ],
)
def test_an_invalid_variable_is_refused_by_name(tmp_path: Path, variable: dict[str, str], said: str) -> None:
    assert said in refusal(tmp_path, **variable)


def test_for_a_name_without_a_similar_one_the_error_says_where_all_settings_are(tmp_path: Path) -> None:
    said = refusal(tmp_path, BROKER_WHATEVER="x")
    assert said == "the environment variable BROKER_WHATEVER is no setting; config/broker.toml explains all"


def test_the_stores_url_may_lie_in_a_file_for_it_holds_a_password(tmp_path: Path) -> None:
    secret = tmp_path / "url"
    secret.write_text("redis://broker:hunter2@store:6379/0\n")
    settings = load_settings(None, {"BROKER_STORE_URL_FILE": str(secret)})
    assert settings.store.url.reveal() == "redis://broker:hunter2@store:6379/0"
    assert "hunter2" not in repr(settings)


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("sqlite:var/broker.db", "sqlite:var/broker.db"),
        ("redis://store:6379/0", "redis://store:6379/0"),
        ("redis://:hunter2@store:6379/0", "redis://:***@store:6379/0"),
        ("rediss://broker:hunter2@store/0", "rediss://broker:***@store/0"),
        ("redis://broker:hun@ter2/@store/0", "redis://broker:***@store/0"),
        ("redis://hunter2", "redis://hunter2"),
        ("redis://store/0?db=1&password=hunter2&x=y", "redis://store/0?db=1&password=***&x=y"),
        ("unix://broker:hunter2@/run/redis.sock?db=0", "unix://broker:***@/run/redis.sock?db=0"),
        ("broker:hunter2@store", ":***@store"),
    ],
)
def test_a_url_is_shown_without_its_password(url: str, shown: str) -> None:
    assert shown_url(SecretKey(url)) == shown


def test_an_invalid_url_is_refused_without_its_password(tmp_path: Path) -> None:
    assert "hunter2" not in refusal(tmp_path, BROKER_STORE_URL="rediz://:hunter2@store")
    for url in ("redis://:hunter2/@store:1/0", "redis://:x@store:hunter2/0", "redis://store/0?db=hunter2"):
        with pytest.raises(ConfigurationError, match="cannot be read") as refused:
            open_engine(StoreSettings(SecretKey(url)))
        assert "hunter2" not in str(refused.value)


@pytest.mark.parametrize(
    "url", ["redis+sentinel://one:26379,two/broker", "rediss+sentinel://u:p@one/broker/3?ssl_ca_certs=/ca"]
)
def test_the_url_of_a_sentinel_names_its_hosts_and_the_master(url: str) -> None:
    assert load_settings(None, {"BROKER_STORE_URL": url}).store.url.reveal() == url


@pytest.mark.parametrize(
    "rest", ["one:26379", "one/", "u:hunter2@/broker", "one,/broker", "one/broker/x", "one/broker?x=1"]
)
def test_the_url_of_a_sentinel_without_hosts_or_a_master_is_refused(tmp_path: Path, rest: str) -> None:
    refused = refusal(tmp_path, BROKER_STORE_URL=f"redis+sentinel://{rest}")
    assert "the URL of a Sentinel is" in refused and "hunter2" not in refused


def test_a_file_that_is_not_there_is_named() -> None:
    with pytest.raises(ConfigurationError, match=r"/nowhere/broker\.toml cannot be read: No such file"):
        load_settings(Path("/nowhere/broker.toml"), {})


def test_no_two_settings_share_a_variable() -> None:
    variables = [variable_of(name) for name in setting_names()]
    assert len(set(variables)) == len(variables)


def test_settings_never_change() -> None:
    with pytest.raises(AttributeError):
        Settings().listen.workers = 2  # type: ignore[misc]


@pytest.mark.parametrize(
    "url",
    ["https://sts.example.com", "https://sts.example.com:8443/a/b", "https://10.0.0.1", "https://broker"],
)
def test_an_issuers_url_is_not_changed(url: str) -> None:
    assert load_settings(None, {"BROKER_FEDERATION_ISSUER_URL": url}).federation.issuer_url == url


@pytest.mark.parametrize(
    "url",
    [
        "sts.example.com",
        "https://",
        "https://sts.example.com/",
        "https://sts.example.com/a/",
        "https://sts.example.com//a",
        "https://sts.example.com?a=b",
        "https://sts.example.com/a#b",
        "https://STS.example.com",
        "https://user@sts.example.com",
        "ftp://sts.example.com",
        "https://sts.example.com/" + "a" * 200,
        "https://sts.example.com/a b",
    ],
)
def test_an_issuers_url_that_is_invalid_in_tokens_is_refused(tmp_path: Path, url: str) -> None:
    assert "federation.issuer_url: " in refusal(tmp_path, BROKER_FEDERATION_ISSUER_URL=url)


def test_an_issuer_at_plain_http_has_to_be_admitted(tmp_path: Path) -> None:
    variables = {"BROKER_FEDERATION_ISSUER_URL": "http://127.0.0.1:8080"}
    assert refusal(tmp_path, **variables) == (
        "federation.issuer_url: http://127.0.0.1:8080 is not https; federation.plain_http admits that, for closed "
        "networks"
    )
    admitted = load_settings(None, {**variables, "BROKER_FEDERATION_PLAIN_HTTP": "true"})
    assert admitted.federation.issuer_url == "http://127.0.0.1:8080"


def test_a_key_of_an_issuer_is_never_published_longer_before_it_signs_than_another_signs(
    tmp_path: Path,
) -> None:
    told = refusal(
        tmp_path,
        BROKER_FEDERATION_ISSUER_ROTATE_EVERY_HOURS="167",
        BROKER_FEDERATION_ISSUER_PUBLISHED_FOR_HOURS="169",
    )
    assert told.splitlines() == [
        "federation.issuer_rotate_every_hours is a number from 168 to 8784",
        "federation.issuer_published_for_hours is a number from 1 to 168",
    ]


def test_what_is_no_network_is_told_beside_the_other_faults_of_federation(tmp_path: Path) -> None:
    text = (
        '[federation]\nprivate_networks = ["nonsense"]\nlogin_with_amazon_url = "http://10.0.0.1"\n'
        '[identity_plugin]\nurl = "https://10.0.0.1"\nprovider = "tokens.example.com"\n'
        '[client_certificates]\ncertificate_authorities = "x.pem"\nprovider = "certificates.example.com"\n'
    )
    said = refusal(tmp_path, text).splitlines()
    assert [fault.split(": ")[:2] for fault in said] == [
        ["FILE:2", "federation.private_networks"],
        ["FILE:3", "federation.login_with_amazon_url"],
        ["FILE:5", "identity_plugin.url"],
        ["FILE:8", "client_certificates.certificate_authorities"],
    ]
