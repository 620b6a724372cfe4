"""Who may see the console: the right host, no foreign origin, and a cookie that a one-time link gave.

Loopback is no credential, since any web page can reach it; so every request needs the cookie or the token.
"""

import hmac
import secrets
from collections.abc import Callable

from starlette.datastructures import MutableHeaders
from starlette.requests import Request
from starlette.responses import HTMLResponse, PlainTextResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from rimward.console.page import notice

HEADERS = {
    "content-security-policy": "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
    "img-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(), geolocation=(), microphone=()",
    "cache-control": "no-store",
}
OWN_SITE = ("", "none", "same-origin")  # values of Sec-Fetch-Site of requests that no foreign page made


class Gate:
    """Wraps an application; `hosts` are the values of the Host header that are ours."""

    def __init__(
        self, app: ASGIApp, *, token: str, hosts: frozenset[str], cookie: str, on_link: Callable[[str], None]
    ) -> None:
        self._app = app
        self._hosts = hosts
        self._cookie = cookie
        self._session = secrets.token_urlsafe(32)
        self._token = token  # for `Authorization: Bearer`
        self._links = {token: True}  # by link token: is it unused?
        self._on_link = on_link

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let a request pass, or say why not."""
        if scope["type"] != "http":
            return
        request = Request(scope)
        response = self._refusal(request)
        await (response or self._app)(scope, receive, _hardened(send))

    def _refusal(self, request: Request) -> Response | None:
        """Return the answer that ends a request here; None lets it pass."""
        hosts = request.headers.getlist("host")
        if len(hosts) != 1 or hosts[0].lower() not in self._hosts:
            return PlainTextResponse("This host name is not served here.", 403)
        if self._foreign(request):
            return PlainTextResponse("Other pages may not ask this console.", 403)
        if request.method not in ("GET", "HEAD"):
            return PlainTextResponse("Only reading is possible here.", 405, {"allow": "GET, HEAD"})
        if request.url.path.startswith("/static/"):
            return None  # the same for everybody
        return self._sign_in(request)

    def _sign_in(self, request: Request) -> Response | None:
        known = self._is_known(request)
        if link := request.query_params.get("token"):
            return self._enter(link, known=known)
        said = "Open the link that rimward dev printed in its terminal; it works once."
        return None if known else HTMLResponse(notice("Not signed in", said), 401)

    def _foreign(self, request: Request) -> bool:
        origin = request.headers.get("origin")
        if origin is not None and origin.lower() not in {f"http://{host}" for host in self._hosts}:
            return True
        entering = request.url.path == "/" and request.headers.get("sec-fetch-mode") == "navigate"
        return request.headers.get("sec-fetch-site", "") not in OWN_SITE and not entering

    def _is_known(self, request: Request) -> bool:
        scheme, _, given = request.headers.get("authorization", "").partition(" ")
        if scheme.lower() == "bearer" and _same(given, self._token):
            return True
        return any(_same(value, self._session) for value in self._cookies(request))

    def _cookies(self, request: Request) -> list[str]:
        """Return the values of our cookie; what others put beside it on this host need not be well-formed."""
        pairs = ";".join(request.headers.getlist("cookie")).split(";")
        split = (pair.strip().partition("=") for pair in pairs)
        return [value for name, _, value in split if name == self._cookie]

    def _enter(self, link: str, *, known: bool) -> Response:
        """Turn a link's token into the cookie, once."""
        match = next((token for token in self._links if _same(token, link)), None)
        if match is None and not known:
            return HTMLResponse(notice("Not signed in", "This link is not of this console."), 401)
        if match is not None and not self._links[match] and not known:
            self._renew()
            said = "This link was used before. A new one is in the terminal where rimward dev runs."
            return HTMLResponse(notice("Link used", said), 401)
        if match is not None:
            self._links[match] = False
        response = RedirectResponse("/", 303)
        response.set_cookie(self._cookie, self._session, httponly=True, samesite="strict", path="/")
        return response

    def _renew(self) -> None:
        """Announce a new link, unless one is out that nobody has used."""
        if any(self._links.values()):
            return
        fresh = secrets.token_urlsafe(32)
        self._links[fresh] = True
        self._on_link(fresh)


def _same(one: str, other: str) -> bool:
    return hmac.compare_digest(one.encode(), other.encode())


def _hardened(send: Send) -> Send:
    async def hardened(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = MutableHeaders(scope=message)
            for name, value in HEADERS.items():
                headers[name] = value
        await send(message)

    return hardened
