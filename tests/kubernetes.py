"""A cluster of Kubernetes as Pod Identity sees it: an issuer with a key, and the tokens of its pods."""

import json
import secrets
import ssl
import subprocess
import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric import rsa
from jwt.algorithms import RSAAlgorithm

AUDIENCE = "pods.eks.amazonaws.com"


@dataclass(frozen=True)
class Pod:
    """A pod that runs on a node, with a service account."""

    name: str
    namespace: str = "apps"
    service_account: str = "web"
    node: str = "node-1"
    uid: str = field(default_factory=lambda: str(uuid.uuid4()))


@dataclass(frozen=True)
class KubernetesCluster:
    """The issuer of a cluster, whose key is published nowhere: `key_set` is what an operator copies."""

    name: str = field(default_factory=lambda: f"cluster-{secrets.token_hex(4)}")
    issuer: str = "https://kubernetes.default.svc.cluster.local"
    key_id: str = field(default_factory=lambda: secrets.token_hex(20))

    @cached_property
    def key(self) -> rsa.RSAPrivateKey:
        return rsa.generate_private_key(public_exponent=65537, key_size=2048)

    @property
    def key_set(self) -> dict[str, Any]:
        public = json.loads(RSAAlgorithm.to_jwk(self.key.public_key()))
        public.pop("key_ops", None)
        return {"keys": [{**public, "kid": self.key_id, "use": "sig", "alg": "RS256"}]}

    def claims(self, pod: Pod, *, lifetime: int = 3600, audience: str = AUDIENCE) -> dict[str, Any]:
        """As kube-apiserver writes them (1.30)."""
        now = int(time.time())
        return {
            "aud": [audience],
            "exp": now + lifetime,
            "iat": now,
            "iss": self.issuer,
            "jti": str(uuid.uuid4()),
            "kubernetes.io": {
                "namespace": pod.namespace,
                "node": {"name": pod.node, "uid": str(uuid.uuid4())},
                "pod": {"name": pod.name, "uid": pod.uid},
                "serviceaccount": {"name": pod.service_account, "uid": str(uuid.uuid4())},
            },
            "nbf": now,
            "sub": f"system:serviceaccount:{pod.namespace}:{pod.service_account}",
        }

    def sign(self, claims: dict[str, Any], key: rsa.RSAPrivateKey | None = None) -> str:
        return jwt.encode(claims, key or self.key, "RS256", headers={"kid": self.key_id})

    def token(self, pod: Pod, **options: Any) -> str:
        """What the kubelet puts into the pod's volume."""
        return self.sign(self.claims(pod, **options))


class ApiServer:
    """The TokenReview of a cluster's API server, by https with a certificate of its own; `gone` are uids of pods."""

    def __init__(self, cluster: KubernetesCluster, folder: Path) -> None:
        self.gone: set[str] = set()
        self.asked: list[dict[str, Any]] = []
        self.reviewer = secrets.token_urlsafe(16)
        certificate, key = folder / "api.pem", folder / "api.key"
        _write_certificate(certificate, key)
        self.authority = certificate.read_text()
        self._cluster = cluster
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate, key)
        self._server.socket = context.wrap_socket(self._server.socket, server_side=True)

    @property
    def url(self) -> str:
        return f"https://127.0.0.1:{self._server.server_address[1]}"

    @contextmanager
    def running(self) -> Iterator["ApiServer"]:
        thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        thread.start()
        try:
            yield self
        finally:
            self._server.shutdown()
            self._server.server_close()

    def review(self, token: str) -> dict[str, Any]:
        try:
            claims = jwt.decode(token, self._cluster.key.public_key(), ["RS256"], audience=AUDIENCE)
        except jwt.PyJWTError as error:
            return {"authenticated": False, "error": str(error)}
        bound = claims["kubernetes.io"]
        if bound["pod"]["uid"] in self.gone:
            return {"authenticated": False, "error": "pod is gone"}
        extra = {"authentication.kubernetes.io/pod-uid": [bound["pod"]["uid"]]}
        user = {"username": claims["sub"], "extra": extra}
        return {"authenticated": True, "user": user, "audiences": [AUDIENCE]}

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        api = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                question = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                api.asked.append(question)
                is_reviewer = self.headers["Authorization"] == f"Bearer {api.reviewer}"
                status = api.review(question["spec"]["token"])
                body = json.dumps({**question, "status": status}).encode()
                self.send_response(201 if is_reviewer else 403)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: Any) -> None:
                pass

        return Handler


def _write_certificate(certificate: Path, key: Path) -> None:
    """Of 127.0.0.1, its own authority."""
    command = [
        "openssl",
        "req",
        "-x509",
        "-newkey",
        "ec",
        "-pkeyopt",
        "ec_paramgen_curve:prime256v1",
        "-nodes",
    ]
    names = ["-subj", "/CN=kubernetes", "-addext", "subjectAltName=IP:127.0.0.1", "-days", "2"]
    files = ["-keyout", str(key), "-out", str(certificate)]
    subprocess.run([*command, *names, *files], check=True, capture_output=True)
