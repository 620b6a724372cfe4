"""Transmission parameters [RFC 7252 §4.8], and what an endpoint may hold. Times in ns."""

from msgspec import Struct

SECOND = 1_000_000_000


class Timing(Struct, frozen=True):
    """How messages are sent again, and how long they are remembered."""

    ack_timeout: float = 2.0  # seconds
    ack_random_factor: float = 1.5
    max_retransmit: int = 4
    nstart: int = 1  # confirmable messages that one peer has not acknowledged at a time
    piggyback: float = 0.5  # seconds that an acknowledgement waits for the response
    max_latency: float = 100.0  # seconds that a datagram may travel

    @property
    def max_transmit_span(self) -> float:
        """Seconds from the first to the last transmission of a confirmable message."""
        return self.ack_timeout * (2**self.max_retransmit - 1) * self.ack_random_factor

    @property
    def exchange_lifetime(self) -> float:
        """Seconds for which a confirmable message's id may come again."""
        return self.max_transmit_span + 2 * self.max_latency + self.ack_timeout


class Bounds(Struct, frozen=True):
    """What one endpoint holds for all its peers together. What is beyond is counted."""

    exchanges: int = 65_536  # messages that are remembered so that they are not worked on twice
    exchange_bytes: int = 16 << 20  # of the answers that are kept with them
    exchanges_of_peer: int = 4096
    pending: int = 4096  # requests that wait for their response
    pending_of_peer: int = 64
    queued_of_peer: int = 64  # confirmable messages to one peer that wait for their turn
    outstanding: int = 16_384  # confirmable messages that are not acknowledged
