"""What stands before the app: the key, the names of the server, and web pages of other origins."""

import hmac
import json
from http import HTTPStatus
from typing import final
from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.middleware.cors import CORSMiddleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from optimum_ose.serving.crowd import OPEN_PATHS
from optimum_ose.serving.exposure import Exposure
from optimum_ose.serving.open_inference import HEADER_LENGTH
from optimum_ose.serving.protocol import RequestError, refusal_body

_ASKED_FOR = frozenset({"application/json", "application/octet-stream"})
"""Content types that a browser sends to another origin only if that allows it."""


def guarded(app: ASGIApp, exposure: Exposure) -> ASGIApp:
    """An app that refuses who may not ask. Health and readiness are told to everyone who asks by any name."""
    inner: ASGIApp = _Guard(app, exposure)
    if exposure.cors_origins:
        inner = CORSMiddleware(
            inner,
            allow_origins=exposure.cors_origins,
            allow_methods=("GET", "POST"),
            allow_headers=("Authorization", HEADER_LENGTH),
            expose_headers=(HEADER_LENGTH,),
        )
    if not exposure.allowed_hosts:
        return inner
    names = [form for name in exposure.allowed_hosts for form in ((name, f"[{name}]") if ":" in name else (name,))]
    return _Named(inner, TrustedHostMiddleware(inner, allowed_hosts=names, www_redirect=False))


@final
class _Named:
    """An app that is called by its names only, except by probes, which use addresses."""

    def __init__(self, app: ASGIApp, named: ASGIApp) -> None:
        self._app, self._named = app, named

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one scope."""
        await (self._app if scope.get("path") in OPEN_PATHS else self._named)(scope, receive, send)


@final
class _Guard:
    """An app that answers who has the key, and no page of an origin that is not allowed."""

    def __init__(self, app: ASGIApp, exposure: Exposure) -> None:
        self._app = app
        self._key = exposure.api_key.encode() if exposure.api_key else None
        self._origins = exposure.cors_origins

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one scope."""
        refusal = None if scope["type"] != "http" or scope["path"] in OPEN_PATHS else self._refusal(scope)
        if refusal is None:
            await self._app(scope, receive, send)
            return
        headers = {"content-type": "application/json"}
        if refusal.status == HTTPStatus.UNAUTHORIZED:
            headers["www-authenticate"] = "Bearer"
        await Response(json.dumps(refusal_body(refusal, scope["path"])), refusal.status, headers)(scope, receive, send)

    def _refusal(self, scope: Scope) -> RequestError | None:
        headers = Headers(scope=scope)
        if self._key is not None and not self._has_key(headers):
            return RequestError(
                HTTPStatus.UNAUTHORIZED,
                expected="A request must carry the server's key",
                actual="it carries another one, or none",
                remedy="Send it as Authorization: Bearer KEY",
            )
        if scope["method"] == "POST" and self._is_foreign(headers):
            kind = headers.get("content-type", "").partition(";")[0].strip().lower()
            if kind not in _ASKED_FOR:
                return RequestError(
                    HTTPStatus.FORBIDDEN,
                    expected="A web page of another origin must be allowed, and send application/json",
                    actual="this one sends a form or text",
                    remedy="Allow its origin (--cors-origin)",
                )
        return None

    def _has_key(self, headers: Headers) -> bool:
        scheme, _, key = headers.get("authorization", "").partition(" ")
        return scheme.lower() == "bearer" and hmac.compare_digest(key.strip().encode(), self._key or b"")

    def _is_foreign(self, headers: Headers) -> bool:
        """Whether a browser sends this for a page of another origin that is not allowed."""
        origin = headers.get("origin")
        if origin is None or origin in self._origins or "*" in self._origins:
            return False
        return _place(origin) != _place(f"//{headers.get('host', '')}")


def _place(origin: str) -> str | None:
    """Host and port of an origin."""
    try:
        return urlsplit(origin).netloc.lower() or None
    except ValueError:
        return None
