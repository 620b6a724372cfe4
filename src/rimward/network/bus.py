"""The way into a bus: its address, who one is there, and whom one believes to be the bus."""

import asyncio
import base64
import ssl
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import nats.errors
from nats.aio.client import Client

from rimward.network.config import BusAccess
from rimward.network.heeding import finish
from rimward.network.nkeys import Key, NoKey, parse_seed

CLOSE = 2.0  # seconds to end a connection in order
CONNECT = 15  # seconds for each step of one attempt; a bad link loses several packets of each


class BusClient(Client):
    """A client that never goes on in the clear where TLS was asked for, and signs with our own keys."""

    def __init__(self, access: BusAccess) -> None:
        super().__init__()
        self._tls_asked = urlsplit(access.url).scheme == "tls"

    def sign_as(self, key: Key) -> dict[str, Any]:
        """Return the options by which `connect` answers the bus's challenge with a key."""
        self._public_nkey = key.public

        def signature(nonce: str) -> bytes:
            return base64.b64encode(key.sign(nonce.encode()))

        self._auth_configured = True
        return {"signature_cb": signature}

    async def _process_info(self, info: dict[str, Any], initial_connection: bool = False) -> None:  # noqa: FBT001, FBT002 -- the client's own method
        if self._tls_asked and not info.get("tls_required"):
            raise nats.errors.Error("the bus offers no TLS, and its address asks for it")
        await super()._process_info(info, initial_connection=initial_connection)


async def connect(access: BusAccess, **options: Any) -> Client:
    """Connect to the bus once: whoever uses the connection starts over by itself when it breaks.

    `options` are the client's. It raises what the client raises, and

    Raises:
        NoKey: the credentials file can't be used.
    """
    client = BusClient(access)
    known = await asyncio.to_thread(_known, client, access)
    await client.connect(access.url, allow_reconnect=False, connect_timeout=CONNECT, **known, **options)
    return client


async def hang_up(client: Client) -> bool:
    """End a connection in order; return whether that was possible in time."""
    return await finish(client.close(), CLOSE)


def _known(client: BusClient, access: BusAccess) -> dict[str, Any]:
    """Read what is in files."""
    return _who(client, access) | _whom(access)


def _who(client: BusClient, access: BusAccess) -> dict[str, Any]:
    if not access.credentials:
        return {"user": access.user or None, "password": access.password or None}
    try:
        text = Path(access.credentials).read_text("utf-8").strip()
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or "it is no text"
        raise NoKey(f"the credentials {access.credentials} can't be read: {reason}") from None
    user, colon, password = text.partition(":")
    if colon:
        return {"user": user, "password": password}
    return client.sign_as(parse_seed(text, access.credentials))


def _whom(access: BusAccess) -> dict[str, Any]:
    """Return whose certificate is believed.

    Raises:
        NoKey: the file of the authority can't be used.
    """
    if urlsplit(access.url).scheme != "tls":
        return {}
    try:
        context = ssl.create_default_context(cafile=access.ca or None)
    except OSError as error:  # ssl.SSLError is one
        raise NoKey(f"the authority {access.ca} can't be used: {error.strerror or error}") from None
    return {"tls": context, "tls_handshake_first": access.tls_first}
