"""pysaml2 as a second SAML identity provider, in a process of its own: it signs with the program xmlsec1."""

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.identity_providers.certificates import KeyPair
from tests.identity_providers.processes import Process, require_program
from tests.identity_providers.saml import SamlProvider, ServiceProvider


class PySaml2(SamlProvider):
    """The provider. Users and service providers may be added while it runs."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder, metadata_path="/metadata", sign_on_path="/sign-on", name="pysaml2")
        self._xmlsec1 = require_program("xmlsec1")
        self._settings = folder / "settings.json"
        program = [sys.executable, "-m", "tests.identity_providers.pysaml2_server", self._settings]
        self._process = Process(program, folder / "log")

    @contextmanager
    def running(self) -> Iterator["PySaml2"]:
        self.write()
        self._process.start(self.is_ready)
        try:
            yield self
        finally:
            self._process.stop()

    def write(self) -> None:
        settings = {
            "port": self.port,
            "entity_id": self.entity_id,
            "sign_on_url": self.sign_on_url,
            "xmlsec1": str(self._xmlsec1),
            "key_file": str(self.key_file),
            "certificate_file": str(self.certificate_file),
            "users": {
                name: {"password": user.password, "attributes": user.attributes}
                for name, user in self.users.items()
            },
            "consumers": {one.entity_id: _settings_of(one) for one in self.consumers.values()},
        }
        scratch = self._settings.with_suffix(".new")
        scratch.write_text(json.dumps(settings))
        scratch.replace(self._settings)


def _settings_of(consumer: ServiceProvider) -> dict[str, Any]:
    key = consumer.encrypts_to
    return {
        "metadata": _metadata_of(consumer),
        "consumer_url": consumer.consumer_url,
        "signs_response": consumer.signs_response,
        "signs_assertion": consumer.signs_assertion,
        "signature_algorithm": consumer.signature_algorithm,
        "encrypts_to": None if key is None else key.pem,
    }


def _metadata_of(consumer: ServiceProvider) -> str:
    key: KeyPair | None = consumer.encrypts_to
    described = (
        ""
        if key is None
        else '<md:KeyDescriptor use="encryption"><ds:KeyInfo xmlns:ds="http://www.w3.org/2000/09/xmldsig#">'
        f"<ds:X509Data><ds:X509Certificate>{key.base64}</ds:X509Certificate></ds:X509Data></ds:KeyInfo>"
        "</md:KeyDescriptor>"
    )
    return (
        '<md:EntityDescriptor xmlns:md="urn:oasis:names:tc:SAML:2.0:metadata"'
        f' entityID="{consumer.entity_id}"><md:SPSSODescriptor'
        ' protocolSupportEnumeration="urn:oasis:names:tc:SAML:2.0:protocol">'
        f"{described}<md:AssertionConsumerService"
        ' Binding="urn:oasis:names:tc:SAML:2.0:bindings:HTTP-POST"'
        f' Location="{consumer.consumer_url}" index="0"/></md:SPSSODescriptor></md:EntityDescriptor>'
    )
