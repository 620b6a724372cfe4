"""Whose address is its own: UDP's can be forged, and a large response would go to whoever is named.

A peer is known on loopback, once it has acknowledged a message of ours, and when it repeats what only the
owner of its address was told [RFC 9175 §2]. To all others a response is not much larger than the request.
"""

from collections import OrderedDict
from hashlib import blake2b
from hmac import compare_digest
from typing import Any

from rimward.edge.gateways.coap.config import CoapConfig
from rimward.edge.gateways.peers import Peer, is_loopback

PEERS = 16_384  # addresses whose Peer is remembered
_SECOND = 1_000_000_000


class Trust:
    """The peers whose addresses are known to be theirs."""

    def __init__(self, config: CoapConfig, secret: bytes) -> None:
        """`secret` makes the values that peers repeat; no other process should know it."""
        self._config = config
        self._secret = secret
        self._lifetime = round(config.verified_for * _SECOND)
        self._verified: OrderedDict[Any, int] = OrderedDict()  # monotonic ns until which it counts
        self._peers: OrderedDict[Any, Peer] = OrderedDict()

    def peer(self, address: Any) -> Peer:
        """Return who a datagram came from."""
        found = self._peers.get(address)
        if found is None:
            if len(self._peers) >= PEERS:
                self._peers.popitem(last=False)
            found = Peer(address[0], address[1], is_loopback(address[0]), listener="coap")
            self._peers[address] = found
        return found

    def knows(self, address: Any, peer: Peer, now: int) -> bool:
        """Tell whether an address is its peer's own."""
        return peer.local or self._verified.get(address, 0) > now

    def verify(self, address: Any, now: int) -> None:
        """The peer has shown that it gets what is sent to its address."""
        self._verified.pop(address, None)
        if len(self._verified) >= self._config.verified_peers:
            self._verified.popitem(last=False)
        self._verified[address] = now + self._lifetime

    def room(self, size: int) -> int:
        """Return how many bytes an unknown peer's response may have, for a request of `size`."""
        return max(self._config.unverified, self._config.amplification * size)

    def challenge(self, address: Any, now: int) -> bytes:
        """Return the Echo value that an address has to repeat."""
        return self._echo(address, now // _SECOND)

    def repeated(self, address: Any, echo: bytes, now: int) -> bool:
        """Take an Echo value; tell whether it was this address's, and not too long ago."""
        fresh = self.fresh(address, echo, now)
        if fresh:
            self.verify(address, now)
        return fresh

    def fresh(self, address: Any, echo: bytes, now: int) -> bool:
        """Tell whether an Echo value was made by this process for this address, and not too long ago."""
        if len(echo) != 12:
            return False
        made = int.from_bytes(echo[:4], "big")
        age = (now // _SECOND - made) & 0xFFFFFFFF
        return compare_digest(self._echo(address, made), echo) and age <= self._config.verified_for

    def _echo(self, address: Any, seconds: int) -> bytes:
        stamp = (seconds & 0xFFFFFFFF).to_bytes(4, "big")
        return stamp + blake2b(stamp + repr(address).encode(), key=self._secret, digest_size=8).digest()
