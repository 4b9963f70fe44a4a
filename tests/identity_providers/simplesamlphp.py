"""SimpleSAMLphp of Debian as a SAML identity provider, under PHP's own web server."""

import json
import secrets
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.identity_providers.certificates import KeyPair
from tests.identity_providers.processes import Process, require_installed, require_program
from tests.identity_providers.saml import SamlProvider, ServiceProvider

LIBRARY = Path("/usr/share/simplesamlphp")
_FORMAT = "urn:oasis:names:tc:SAML:2.0:attrname-format:uri"
_PERSISTENT = "urn:oasis:names:tc:SAML:2.0:nameid-format:persistent"
_POST = "urn:oasis:names:tc:SAML:2.0:bindings:HTTP-POST"


class SimpleSamlPhp(SamlProvider):
    """The provider. It reads its files at each request."""

    def __init__(self, folder: Path) -> None:
        super().__init__(
            folder,
            metadata_path="/saml2/idp/metadata.php",
            sign_on_path="/saml2/idp/SSOService.php",
            name="SimpleSAMLphp",
        )
        php, library = require_program("php"), require_installed(LIBRARY, "simplesamlphp")
        self._process = Process(
            [php, "-S", f"127.0.0.1:{self.port}", "-t", library / "www"],
            folder / "log",
            {"SIMPLESAMLPHP_CONFIG_DIR": str(folder)},
        )

    @contextmanager
    def running(self) -> Iterator["SimpleSamlPhp"]:
        for name in ("sessions", "temporary"):
            (self.folder / name).mkdir()
        self._write("config", "config", self._configuration())
        self._write("saml20-idp-hosted", "metadata", {self.entity_id: self._hosted()})
        self.write()
        self._process.start(self.is_ready)
        try:
            yield self
        finally:
            self._process.stop()

    def write(self) -> None:
        users = {
            f"{name}:{user.password}": {"uid": [name], **user.attributes} for name, user in self.users.items()
        }
        self._write("authsources", "config", {"people": {"0": "exampleauth:UserPass", **users}})
        consumers = {one.entity_id: _remote(one) for one in self.consumers.values()}
        self._write("saml20-sp-remote", "metadata", consumers)

    @contextmanager
    def replacing_its_key(self) -> Iterator[Callable[[], None]]:
        """It publishes its next key beside the one that it signs with; what is yielded makes it sign with the next."""
        KeyPair("SimpleSAMLphp's next key").write(self.folder, "next")
        both = {**self._hosted(), "new_privatekey": "next.key", "new_certificate": "next.crt"}
        only_next = {**self._hosted(), "privatekey": "next.key", "certificate": "next.crt"}
        self._write("saml20-idp-hosted", "metadata", {self.entity_id: both})
        try:
            yield lambda: self._write("saml20-idp-hosted", "metadata", {self.entity_id: only_next})
        finally:
            self._write("saml20-idp-hosted", "metadata", {self.entity_id: self._hosted()})

    def _write(self, name: str, variable: str, value: dict[str, Any]) -> None:
        """A file of PHP that reads its value from the JSON beside it, which is replaced as a whole."""
        data = self.folder / f"{name}.json"
        data.with_suffix(".new").write_text(json.dumps(value))
        data.with_suffix(".new").replace(data)
        program = self.folder / f"{name}.php"
        if not program.exists():
            program.write_text(
                f"<?php ${variable} = json_decode(file_get_contents(__DIR__ . '/{data.name}'), true);\n"
            )

    def _configuration(self) -> dict[str, Any]:
        return {
            "baseurlpath": f"{self.url}/",
            "certdir": f"{self.folder}/",
            "metadatadir": f"{self.folder}/",
            "tempdir": f"{self.folder}/temporary",
            "session.phpsession.savepath": f"{self.folder}/sessions",
            "store.type": "phpsession",
            "session.cookie.secure": False,
            "language.cookie.secure": False,
            "secretsalt": secrets.token_hex(16),
            "auth.adminpassword": secrets.token_hex(16),
            "timezone": "UTC",
            "logging.handler": "errorlog",
            "logging.format": "%level %stat[%trackid] %msg",
            "enable.saml20-idp": True,
            "module.enable": {"core": True, "saml": True, "exampleauth": True},
            "metadata.sources": [{"type": "flatfile"}],
            "authproc.idp": [],
            "attributenamemapdir": "/etc/simplesamlphp/attributemap/",
        }

    def _hosted(self) -> dict[str, Any]:
        return {
            "host": "__DEFAULT__",
            "privatekey": self.key_file.name,
            "certificate": self.certificate_file.name,
            "auth": "people",
            "attributes.NameFormat": _FORMAT,
            "NameIDFormat": _PERSISTENT,
            "simplesaml.nameidattribute": "uid",
        }


def _remote(consumer: ServiceProvider) -> dict[str, Any]:
    key = consumer.encrypts_to
    encryption = {} if key is None else {"assertion.encryption": True}
    keys = [] if key is None else [_key(key.base64, encryption=True)]
    if consumer.signs_with:
        keys.append(_key(consumer.signs_with, signing=True))
    return {
        "AssertionConsumerService": [{"Binding": _POST, "Location": consumer.consumer_url, "index": 0}],
        "saml20.sign.response": consumer.signs_response,
        "saml20.sign.assertion": consumer.signs_assertion,
        "signature.algorithm": consumer.signature_algorithm,
        "validate.authnrequest": bool(consumer.signs_with),
        "keys": keys,
        **encryption,
    }


def _key(certificate: str, *, encryption: bool = False, signing: bool = False) -> dict[str, Any]:
    kind = {"encryption": encryption, "signing": signing}
    return {**kind, "type": "X509Certificate", "X509Certificate": certificate}
