"""The end of a connection, as far as it can be told from outside."""

import asyncio

from rimward.protocols.mqtt import ServerSession


def said_goodbye(session: ServerSession) -> bool:
    """Tell whether the client has left in good order, which takes its will back [3.1.2.5]."""
    return session.ended and session.error is None and session.goodbye_reason == 0


def half_close(transport: asyncio.Transport) -> None:
    """Send the end and go on reading: a full close with bytes unread resets the goodbye away."""
    if not transport.can_write_eof():  # TLS has an end of its own, which waits for the peer's
        transport.close()
    elif not transport.is_closing():
        transport.write_eof()
