"""An OpenID provider on the loopback, as strict as a real one: discovery, keys, code with PKCE, RS256. Signed without the
product's library, by `cryptography`, so that both must be right.
"""

import base64
import contextlib
import hashlib
import http.server
import json
import secrets
import threading
import time
from dataclasses import dataclass, field
from typing import Any, Self
from urllib.parse import parse_qs, parse_qsl, urlsplit

from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.hashes import SHA256

CLIENT_ID, SECRET = "sluice", "a secret: with/odd+characters%"


def encoded(content: bytes) -> str:
    return base64.urlsafe_b64encode(content).rstrip(b"=").decode()


def document(value: Any) -> str:
    return encoded(json.dumps(value).encode())


class Key:
    """A key that tokens are signed with."""

    def __init__(self, kid: str) -> None:
        self.kid = kid
        self.private = rsa.generate_private_key(public_exponent=65537, key_size=2048)

    @property
    def public(self) -> dict[str, str]:
        numbers = self.private.public_key().public_numbers()
        n, e = (number.to_bytes((number.bit_length() + 7) // 8) for number in (numbers.n, numbers.e))
        return {"kty": "RSA", "use": "sig", "alg": "RS256", "kid": self.kid, "n": encoded(n), "e": encoded(e)}

    def sign(self, claims: dict[str, Any], **header: Any) -> str:
        text = f"{document({'alg': 'RS256', 'typ': 'JWT', 'kid': self.kid, **header})}.{document(claims)}"
        return f"{text}.{encoded(self.private.sign(text.encode(), padding.PKCS1v15(), SHA256()))}"


@dataclass
class Grant:
    """What a code stands for."""

    asked: dict[str, str]
    claims: dict[str, Any]


@dataclass
class Provider:
    """The provider. `token` makes an ID token of its claims: tests replace it to forge one."""

    key: Key = field(default_factory=lambda: Key("first"))
    issuer: str = ""
    # Given by /userinfo.
    user_information: dict[str, Any] = field(default_factory=dict)
    described: dict[str, Any] = field(default_factory=dict)
    grants: dict[str, Grant] = field(default_factory=dict)
    refused: list[str] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)
    forge: Any = None
    # Written after each answer, a piece at a time.
    more: Any = ()

    def __enter__(self) -> Self:
        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        self.issuer = f"http://127.0.0.1:{self.server.server_port}/realms/mail"
        threading.Thread(target=self.server.serve_forever, args=(0.01,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self.server.shutdown()
        self.server.server_close()

    def sign_in(self, address: str, **claims: Any) -> str:
        """Sign a person in who was sent to `address`; return where the browser is sent back to."""
        parts = urlsplit(address)
        assert f"http://{parts.netloc}{parts.path}" == f"{self.issuer}/authorize"
        asked = dict(parse_qsl(parts.query, strict_parsing=True))
        assert (asked["client_id"], asked["response_type"]) == (CLIENT_ID, "code")
        assert asked["code_challenge_method"] == "S256"
        assert len(asked["code_challenge"]) == 43
        assert min(len(asked["state"]), len(asked["nonce"])) >= 20
        code = secrets.token_urlsafe(16)
        self.grants[code] = Grant(asked, {"sub": "person-1", **claims})
        back = urlsplit(asked["redirect_uri"])
        return f"{back.path}?code={code}&state={asked['state']}"

    def described_as(self) -> dict[str, Any]:
        return {
            "issuer": self.issuer,
            "authorization_endpoint": f"{self.issuer}/authorize",
            "token_endpoint": f"{self.issuer}/token",
            "userinfo_endpoint": f"{self.issuer}/userinfo",
            "jwks_uri": f"{self.issuer}/keys",
            "response_types_supported": ["code"],
            "subject_types_supported": ["public"],
            "id_token_signing_alg_values_supported": ["none", "HS256", "RS256"],
            **self.described,
        }

    def exchange(self, form: dict[str, str], authorization: str) -> tuple[int, dict[str, Any]]:
        """Exchange a code for tokens, once, and only for the client that asked."""
        expected = "Basic " + base64.b64encode(f"{CLIENT_ID}:{SECRET}".encode()).decode()
        if authorization != expected:
            return self._refuse(401, "invalid_client")
        grant = self.grants.pop(form.get("code", ""), None)
        if grant is None or form.get("grant_type") != "authorization_code":
            return self._refuse(400, "invalid_grant")
        challenge = encoded(hashlib.sha256(form.get("code_verifier", "").encode()).digest())
        if challenge != grant.asked["code_challenge"] or form.get("redirect_uri") != grant.asked["redirect_uri"]:
            return self._refuse(400, "invalid_grant")
        now = int(time.time())
        claims = {"iss": self.issuer, "aud": CLIENT_ID, "iat": now, "exp": now + 300, "nonce": grant.asked["nonce"]}
        claims |= grant.claims
        token = self.forge(claims) if self.forge else self.key.sign(claims)
        answer = {"access_token": "opaque", "token_type": "Bearer", "expires_in": 300}
        return 200, answer if token is None else {**answer, "id_token": token}

    def _refuse(self, status: int, error: str) -> tuple[int, dict[str, Any]]:
        self.refused.append(error)
        return status, {"error": error}


def _handler(provider: Provider) -> type[http.server.BaseHTTPRequestHandler]:
    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            provider.asked.append(self.path)
            prefix = "/realms/mail"
            if self.path == f"{prefix}/.well-known/openid-configuration":
                self.answer(200, provider.described_as())
            elif self.path == f"{prefix}/keys":
                self.answer(200, {"keys": [provider.key.public]})
            elif self.path == f"{prefix}/userinfo" and self.headers.get("Authorization") == "Bearer opaque":
                self.answer(200, provider.user_information)
            else:
                self.answer(404, {})

        def do_POST(self) -> None:
            provider.asked.append(self.path)
            body = self.rfile.read(int(self.headers["Content-Length"])).decode()
            form = {name: values[0] for name, values in parse_qs(body).items()}
            self.answer(*provider.exchange(form, self.headers.get("Authorization", "")))

        def answer(self, status: int, content: dict[str, Any]) -> None:
            body = json.dumps(content).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            if not provider.more:
                self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)
            with contextlib.suppress(OSError):
                for piece in provider.more:
                    self.wfile.write(piece)

        def log_message(self, *_: object) -> None:
            pass

    return Handler
