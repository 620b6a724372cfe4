"""The way of a connection from a listener into its gateway."""

import asyncio
from collections.abc import Callable
from typing import Any

import msgspec

from rimward.edge.gateways.peers import Peer, introduce, peer_of
from rimward.protocols.proxy import Forwarded

MakeProtocol = Callable[[], asyncio.Protocol]


class Entering(asyncio.Protocol):
    """Stands in until the connection is made, then introduces the peer to the gateway's own protocol."""

    __slots__ = ("_forwarded", "_listener", "_make", "_proxied")

    def __init__(
        self, make: MakeProtocol, listener: str, *, proxied: bool = False, forwarded: Forwarded | None = None
    ) -> None:
        self._make = make
        self._listener = listener
        self._proxied = proxied  # it came from a proxy, which says nothing of where its client is
        self._forwarded = forwarded

    def connection_made(self, transport: Any) -> None:
        """Step aside."""
        forwarded = self._behind_proxy(transport) if self._proxied else None
        protocol = self._make()
        transport.set_protocol(protocol)
        introduce(protocol, transport, self._listener, forwarded)

    def _behind_proxy(self, transport: Any) -> Peer:
        peer = msgspec.structs.replace(peer_of(transport, self._listener), local=False)
        if (behind := self._forwarded) is not None:
            peer = msgspec.structs.replace(peer, address=behind.address, port=behind.port)
        return peer
