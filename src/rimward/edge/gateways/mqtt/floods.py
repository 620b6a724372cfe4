"""Connections that come faster, or in greater number, than a node takes: who is let wait, and who is told no.

A connection that has not said who it is costs memory and nothing speaks for it. Of those only so many are
kept, and the oldest makes room, for an honest client says CONNECT at once. A CONNECT beyond the rate of its
address, or of all, is answered in the protocol's words before anything else is asked.
"""

from typing import TYPE_CHECKING

from rimward.protocols.buckets import Bucket, Buckets

if TYPE_CHECKING:
    from rimward.edge.gateways.mqtt.config import MqttConfig
    from rimward.edge.gateways.mqtt.connection import Connection

ADDRESSES = 16_384  # whose rate is remembered


class Floods:
    """Counts connections and CONNECTs against what a node takes of them."""

    def __init__(self, config: "MqttConfig", counters: dict[str, int], now: float) -> None:
        """`now` is monotonic seconds."""
        self._most = config.max_unannounced
        self._counters = counters
        self._unannounced: dict[Connection, None] = {}  # that have not sent CONNECT; the oldest first
        self._all: Bucket | None = None
        self._addresses: Buckets[str] | None = None
        seconds = config.connect_burst
        if rate := config.connects_per_second:
            self._all = Bucket(rate, max(1.0, rate * seconds), now)
        if rate := config.connects_per_address:
            self._addresses = Buckets(rate, max(1.0, rate * seconds), ADDRESSES)

    @property
    def unannounced(self) -> int:
        """Return how many connections have not said who they are."""
        return len(self._unannounced)

    def opened(self, connection: "Connection") -> None:
        """Take on a connection; the oldest that has said nothing makes room where there is none."""
        self._unannounced[connection] = None
        if len(self._unannounced) > self._most:
            oldest = next(iter(self._unannounced))
            del self._unannounced[oldest]
            self._count("dropped_unannounced")
            oldest.abort()

    def over(self, connection: "Connection") -> None:
        """Forget a connection that has said who it is, or is gone."""
        self._unannounced.pop(connection, None)

    def refuse(self, connection: "Connection", now: float) -> str | None:
        """Tell why a CONNECT comes too soon; None where it is taken and counted."""
        if self._addresses is not None and not self._addresses.take(connection.peer.address, 1, now):
            self._count("connects_over_rate")
            return "more connections a second than one address may open"
        if self._all is not None and not self._all.take(1, now):
            self._count("connects_over_rate")
            return "more connections a second than the node takes"
        return None

    def _count(self, name: str) -> None:
        self._counters[name] = self._counters.get(name, 0) + 1
