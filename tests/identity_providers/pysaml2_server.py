"""A SAML identity provider made of pysaml2: python -m tests.identity_providers.pysaml2_server SETTINGS.

The settings are read at each request, so that users and service providers may be added while it runs.
"""

import html
import json
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, cast
from urllib.parse import parse_qsl, urlsplit

from saml2 import BINDING_HTTP_POST, BINDING_HTTP_REDIRECT
from saml2.authn_context import PASSWORD
from saml2.config import IdPConfig
from saml2.metadata import entity_descriptor
from saml2.saml import NAME_FORMAT_URI, NAMEID_FORMAT_PERSISTENT, NameID
from saml2.server import Server
from saml2.xmldsig import DIGEST_SHA256

Settings = dict[str, Any]

SIGN_IN = """\
<form method="post" action="/sign-in">
<input name="username"><input type="password" name="password">
<input type="hidden" name="consumer" value="{consumer}">
<input type="hidden" name="request" value="{request}">
<input type="hidden" name="RelayState" value="{relay_state}">
</form>
"""


class Refused(Exception):
    """What the person reads."""


def configuration_of(settings: Settings) -> IdPConfig:
    return IdPConfig().load(
        {
            "entityid": settings["entity_id"],
            "xmlsec_binary": settings["xmlsec1"],
            "key_file": settings["key_file"],
            "cert_file": settings["certificate_file"],
            "metadata": {"inline": [one["metadata"] for one in settings["consumers"].values()]},
            "service": {
                "idp": {
                    "endpoints": {
                        "single_sign_on_service": [(settings["sign_on_url"], BINDING_HTTP_REDIRECT)]
                    },
                    "policy": {
                        "default": {
                            "lifetime": {"minutes": 5},
                            "attribute_restrictions": None,
                            "name_form": NAME_FORMAT_URI,
                        }
                    },
                }
            },
        }
    )


def respond(settings: Settings, said: dict[str, str]) -> str:
    """The page that posts the response to the service provider; raises Refused."""
    name, consumer = said["username"], settings["consumers"][said["consumer"]]
    user = settings["users"].get(name)
    if user is None or user["password"] != said["password"]:
        raise Refused("wrong user or password")
    server = Server(config=configuration_of(settings))
    certificate = consumer["encrypts_to"]
    response = server.create_authn_response(
        user["attributes"],
        in_response_to=said["request"] or None,
        destination=consumer["consumer_url"],
        sp_entity_id=said["consumer"],
        userid=name,
        name_id=NameID(text=name, format=NAMEID_FORMAT_PERSISTENT),
        authn={"class_ref": PASSWORD, "authn_auth": settings["entity_id"]},
        sign_response=consumer["signs_response"],
        sign_assertion=consumer["signs_assertion"],
        encrypt_assertion=certificate is not None,
        encrypt_cert_assertion=certificate,
        encrypt_assertion_self_contained=True,
        sign_alg=consumer["signature_algorithm"],
        digest_alg=DIGEST_SHA256,
    )
    posted = server.apply_binding(
        BINDING_HTTP_POST, str(response), consumer["consumer_url"], said["RelayState"], response=True
    )
    return str(posted["data"])


class Handler(BaseHTTPRequestHandler):
    @property
    def settings(self) -> Settings:
        return cast(Settings, json.loads(Path(sys.argv[1]).read_text()))

    def do_GET(self) -> None:
        address = urlsplit(self.path)
        query = dict(parse_qsl(address.query))
        if address.path == "/metadata":
            self.answer(str(entity_descriptor(configuration_of(self.settings))))
        elif address.path == "/sign-on":
            self.answer(self.sign_in_page(query))
        else:
            self.answer("no such page", 404)

    def sign_in_page(self, query: dict[str, str]) -> str:
        """With a SAMLRequest in answer to it, else for the service provider that is named."""
        consumer, request = query.get("spentityid", ""), ""
        if "SAMLRequest" in query:
            server = Server(config=configuration_of(self.settings))
            message = server.parse_authn_request(query["SAMLRequest"], BINDING_HTTP_REDIRECT).message
            consumer, request = message.issuer.text, message.id
        said = {"consumer": consumer, "request": request, "relay_state": query.get("RelayState", "")}
        return SIGN_IN.format(**{name: html.escape(value) for name, value in said.items()})

    def do_POST(self) -> None:
        length = int(self.headers["Content-Length"])
        said = dict(parse_qsl(self.rfile.read(length).decode(), keep_blank_values=True))
        try:
            self.answer(respond(self.settings, said))
        except Refused as refused:
            self.answer(str(refused), 403)

    def answer(self, text: str, status: int = 200) -> None:
        body = text.encode()
        self.send_response(status)
        self.send_header("Content-Type", "text/html; charset=utf-8")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


if __name__ == "__main__":
    port = json.loads(Path(sys.argv[1]).read_text())["port"]
    ThreadingHTTPServer(("127.0.0.1", port), Handler).serve_forever()
