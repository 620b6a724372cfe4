"""Between which namespaces a packet goes: IPv4 by its addresses, each ordered pair over a wire of its own."""

from collections import Counter
from collections.abc import Mapping

from rimward.lab.emulator.impairment import Direction
from rimward.lab.emulator.wire import Wire

_IPV4_HEADER = 20  # bytes


class Switch:
    """All wires of one emulator; the names are those of the namespaces."""

    def __init__(self, addresses: Mapping[str, bytes], seed: int) -> None:
        """`addresses` are of 4 bytes each."""
        self._names = {address: name for name, address in addresses.items()}
        self._wires = {
            (a, b): Wire(Direction(), f"{seed}/{a}/{b}") for a in addresses for b in addresses if a != b
        }
        self.strays: Counter[str] = Counter()  # packets that go nowhere, by reason

    def change(self, source: str, destination: str, direction: Direction) -> None:
        """Make one direction of a link another one from now on.

        Raises:
            KeyError: there is no such pair.
            ImpairmentError: there can't be such a link.
        """
        self._wires[source, destination].change(direction)

    def enter(self, source: str, packet: bytes, now: float) -> None:
        """Take a packet that a namespace sent."""
        if len(packet) < _IPV4_HEADER or packet[0] >> 4 != 4:
            self.strays["not IPv4"] += 1
            return
        destination = self._names.get(packet[16:20])
        if destination is None or destination == source:
            self.strays["no such address"] += 1
            return
        self._wires[source, destination].enter(packet, now)

    def due(self, now: float) -> list[tuple[str, bytes]]:
        """Return the packets that arrive until now, each with where."""
        return [
            (destination, packet)
            for (_, destination), wire in self._wires.items()
            for packet in wire.due(now)
        ]

    def deadline(self) -> float | None:
        """Return when the next packet arrives; None: none is on its way."""
        times = [time for wire in self._wires.values() if (time := wire.deadline()) is not None]
        return min(times, default=None)

    def counters(self) -> dict[str, dict[str, int]]:
        """Return what became of the packets, by direction."""
        found = {f"{a}>{b}": dict(wire.counters) for (a, b), wire in self._wires.items()}
        return found | {"strays": dict(self.strays)}
