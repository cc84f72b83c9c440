"""A provider of OpenID Connect on loopback, for what Gradio's OAuth asks of the Hub.

It signs in whoever `person` names, without a page that asks. Codes are good once, for the client and
the address that they were made for; ID tokens are signed with a key of the server's own.
"""

from __future__ import annotations

import base64
import json
import secrets
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

CLIENT, SECRET, SCOPES = "client-of-the-space", "marked-oauth-client-secret", "openid profile manage-repos"


@dataclass
class Provider:
    """What the server knows. `person`: (sub, name) of whoever signs in next; `token`: what they get."""

    person: tuple[str, str] = ("1", "ann")
    token: str = "hf_oauth_markedmarkedmarked.marked.token"
    expires_in: int = 8 * 3600
    url: str = ""
    codes: dict[str, dict[str, Any]] = field(default_factory=dict)

    @property
    def environment(self) -> dict[str, str]:
        """What a Space with `hf_oauth: true` is given."""
        return {
            "SYSTEM": "spaces",
            "SPACE_ID": "somebody/space",
            "OAUTH_CLIENT_ID": CLIENT,
            "OAUTH_CLIENT_SECRET": SECRET,
            "OAUTH_SCOPES": SCOPES,
            "OPENID_PROVIDER_URL": self.url,
        }


@contextmanager
def running_provider() -> Iterator[Provider]:
    """The server, until the block ends."""
    from joserfc import jwt
    from joserfc.jwk import RSAKey

    provider, key = Provider(), RSAKey.generate_key(2048, {"kid": "one", "use": "sig"})

    class Answers(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked = urlsplit(self.path)
            query = {name: values[0] for name, values in parse_qs(asked.query).items()}
            if asked.path == "/.well-known/openid-configuration":
                self._json(
                    {
                        "issuer": provider.url,
                        "authorization_endpoint": f"{provider.url}/oauth/authorize",
                        "token_endpoint": f"{provider.url}/oauth/token",
                        "userinfo_endpoint": f"{provider.url}/oauth/userinfo",
                        "jwks_uri": f"{provider.url}/jwks",
                        "response_types_supported": ["code"],
                        "id_token_signing_alg_values_supported": ["RS256"],
                    }
                )
            elif asked.path == "/jwks":
                self._json({"keys": [key.as_dict(private=False)]})
            elif asked.path == "/oauth/authorize" and query["client_id"] == CLIENT:
                code = secrets.token_urlsafe(8)
                provider.codes[code] = query | {"person": provider.person, "token": provider.token}
                back = {"code": code, "state": query["state"]}
                glue = "&" if "?" in query["redirect_uri"] else "?"
                self.send_response(302)
                self.send_header("Location", f"{query['redirect_uri']}{glue}{urlencode(back)}")
                self.end_headers()
            else:
                self._json({"error": "there is no such page"}, 404)

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0))).decode()
            given = {name: values[0] for name, values in parse_qs(body).items()}
            who = base64.b64encode(f"{CLIENT}:{SECRET}".encode()).decode()
            asked = provider.codes.pop(given.get("code", ""), None)
            if self.headers.get("Authorization") != f"Basic {who}" or asked is None:
                self._json({"error": "invalid_grant"}, 400)
                return
            assert asked["redirect_uri"] == given["redirect_uri"]
            now, (sub, name) = int(time.time()), asked["person"]
            claims = {"iss": provider.url, "sub": sub, "aud": CLIENT, "iat": now, "exp": now + 600}
            claims |= {"nonce": asked["nonce"], "name": name.title(), "preferred_username": name}
            claims |= {"profile": f"{provider.url}/{name}", "picture": ""}
            self._json(
                {
                    "access_token": asked["token"],
                    "token_type": "bearer",
                    "expires_in": provider.expires_in,
                    "scope": asked["scope"],
                    "id_token": jwt.encode({"alg": "RS256", "kid": "one"}, claims, key),
                }
            )

        def _json(self, value: object, status: int = 200) -> None:
            body = json.dumps(value).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Says nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Answers)
    provider.url = f"http://127.0.0.1:{server.server_port}"
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield provider
    finally:
        server.shutdown()
        server.server_close()
