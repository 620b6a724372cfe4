"""The node's figures under `$SYS/broker/`, by the names that mosquitto made usual.

They are kept like retained messages, so that who subscribes gets them at once, and told anew at an interval
to those who listen. They are on no disk, no device may publish there, and they count as nobody's topics.
"""

import resource
from collections.abc import Callable, Mapping
from math import exp
from typing import TYPE_CHECKING

from rimward.protocols.mqtt.outgoing import Outgoing, message
from rimward.version import VERSION

if TYPE_CHECKING:
    from rimward.edge.gateways.mqtt.broker import Broker

PREFIX = "$SYS/broker/"
_WINDOWS = (("1min", 60.0), ("5min", 300.0), ("15min", 900.0))
_LOADS = {  # by the counter of which each is the moving average, a minute
    "messages/received": "packets_in",
    "messages/sent": "packets_out",
    "connections": "connections_total",
}
_DROPS = (
    "dropped_too_large",
    "dropped_slow_reader",
    "dropped_over_rate",
    "dropped_away",
    "dropped_denied",
    "dropped_queue_full",
    "dropped_queues_full",
    "expired",
)


class Figures:
    """Tells a gateway's figures to those who subscribe to them."""

    def __init__(
        self, broker: "Broker", stats: Callable[[], Mapping[str, int]], interval: float, now: float
    ) -> None:
        """`interval` is seconds, 0 for never; `now` is monotonic seconds."""
        self._broker = broker
        self._stats = stats
        self._interval = interval
        self._begun = now
        self._at = now  # when they were told last
        self._maximum = 0  # clients at a time
        self._loads: dict[str, float] = {}
        self._before: dict[str, int] = {}
        self._told: dict[str, Outgoing] = {}

    def look(self, now: float) -> None:
        """Tell the figures if it is time to."""
        if self._interval and (now - self._at >= self._interval or not self._told):
            elapsed, self._at = now - self._at, now
            for name, value in self._values(now, elapsed).items():
                self._tell(PREFIX + name, value.encode(), now)

    def _tell(self, topic: str, value: bytes, now: float) -> None:
        """Keep a value; it is sent only to those who listen, and only when it is another one."""
        known = self._told.get(topic)
        if known is not None and known.payload == value:
            return
        outgoing = self._told[topic] = message(topic, value, 0, retain=True)
        self._broker.tell(topic, outgoing, now)

    def _values(self, now: float, elapsed: float) -> dict[str, str]:
        stats = self._stats()
        connected, away = stats["clients"], stats["sessions"] - stats["clients"]
        self._maximum = max(self._maximum, connected)
        values: dict[str, int] = {
            "clients/total": stats["sessions"],
            "clients/connected": connected,
            "clients/active": connected,
            "clients/disconnected": away,
            "clients/inactive": away,
            "clients/maximum": self._maximum,
            "clients/expired": stats.get("sessions_expired", 0),
            "messages/received": stats["packets_in"],
            "messages/sent": stats["packets_out"],
            "publish/messages/dropped": sum(stats.get(name, 0) for name in _DROPS),
            "retained messages/count": stats["retained"],
            "subscriptions/count": stats["subscriptions"],
            "shared_subscriptions/count": stats["shared_subscriptions"],
            "heap/maximum": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
        }
        texts = {name: str(value) for name, value in values.items()}
        texts["version"] = f"rimward {VERSION}"
        texts["uptime"] = f"{int(now - self._begun)} seconds"
        for name, counter in _LOADS.items():
            texts.update(self._load(name, stats.get(counter, 0), elapsed))
        return texts

    def _load(self, name: str, count: int, elapsed: float) -> dict[str, str]:
        """Return a counter's moving averages, a minute."""
        rate = (count - self._before.get(name, 0)) * 60 / elapsed if elapsed > 0 else 0.0
        self._before[name] = count
        found: dict[str, str] = {}
        for window, seconds in _WINDOWS:
            key = f"load/{name}/{window}"
            share = exp(-elapsed / seconds)
            self._loads[key] = rate + share * (self._loads.get(key, 0.0) - rate)
            found[key] = f"{self._loads[key]:.2f}"
        return found
