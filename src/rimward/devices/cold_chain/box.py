"""The air of one refrigerated box: a first-order thermal model, solved exactly between its changes.

    C dT/dt = UA (ambient - T) + gain - cooling

UA is that of the walls, or of the open door. Between two changes (door, compressor, ambient) the solution
is an exponential, so the time at which a thermostat's threshold is crossed is known without small steps,
and how a stretch of time is cut into calls changes nothing but rounding.
"""

from dataclasses import dataclass
from enum import Enum
from math import exp, inf, log


class Mode(Enum):
    """What a truck's chiller was told to do."""

    AUTO = "auto"  # hold the set point
    MAX = "max"  # cool harder, down to the lowest temperature allowed
    OFF = "off"


@dataclass(slots=True)
class Box:
    """Temperature of the air, and the compressor that its thermostat switches."""

    celsius: float
    ambient: float  # °C
    walls: float = 60.0  # W/K through the walls
    door: float = 900.0  # W/K beside them while the door is open
    capacity: float = 180_000.0  # J/K of the air and what the air warms at once
    gain: float = 150.0  # W of fans and load
    power: float = 4_500.0  # W that the compressor takes out
    boost: float = 1.4  # of the power, at `MAX`
    set_point: float = 4.0  # °C
    band: float = 1.0  # °C on either side of the set point
    lowest: float = 0.5  # °C, where `MAX` stops
    is_open: bool = False
    is_cooling: bool = False
    is_broken: bool = False  # the compressor runs and takes nothing out
    mode: Mode = Mode.AUTO
    cooled: float = 0.0  # J taken out so far
    starts: int = 0  # of the compressor

    def advance(self, seconds: float) -> None:
        """Let time pass, in which the door stays as it is."""
        self._switch()
        while (until := self._until_switch()) <= seconds:
            self._drift(until)
            self._toggle()
            seconds -= until
        self._drift(seconds)

    @property
    def equilibrium(self) -> float:
        """The temperature, °C, that the air would reach if nothing changed."""
        return self.ambient + (self.gain - self._cooling()) / self._conductance()

    def command(self, mode: Mode) -> None:
        """Obey at once."""
        self.mode = mode
        self._switch()

    def _switch(self) -> None:
        """Set the compressor as the mode and the temperature demand."""
        if self.mode is Mode.OFF:
            self.is_cooling = False
        elif not self.is_cooling and self.celsius >= self._upper():
            self.is_cooling = True
            self.starts += 1
        elif self.is_cooling and self.celsius <= self._lower():
            self.is_cooling = False

    def _toggle(self) -> None:
        self.is_cooling = not self.is_cooling
        self.starts += self.is_cooling

    def _until_switch(self) -> float:
        """Return the seconds until the thermostat acts, `inf` if it never will as things stand."""
        if self.mode is Mode.OFF:
            return inf
        threshold = self._lower() if self.is_cooling else self._upper()
        start, end = self.celsius - self.equilibrium, threshold - self.equilibrium
        ratio = start / end if end else inf
        if not 1 <= ratio < inf:  # the equilibrium lies before the threshold
            return inf
        return log(ratio) * self.capacity / self._conductance()

    def _drift(self, seconds: float) -> None:
        rest = self.equilibrium
        decay = exp(-seconds * self._conductance() / self.capacity)
        self.celsius = rest + (self.celsius - rest) * decay
        self.cooled += self._cooling() * seconds

    def _upper(self) -> float:
        return self.lowest + 1.0 if self.mode is Mode.MAX else self.set_point + self.band

    def _lower(self) -> float:
        return self.lowest if self.mode is Mode.MAX else self.set_point - self.band

    def _cooling(self) -> float:
        if not self.is_cooling or self.is_broken:
            return 0.0
        return self.power * (self.boost if self.mode is Mode.MAX else 1.0)

    def _conductance(self) -> float:
        return self.walls + (self.door if self.is_open else 0.0)
