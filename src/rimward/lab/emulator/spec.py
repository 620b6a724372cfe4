"""What the emulator and its router process say to each other, and the system's `ip`."""

import subprocess

from msgspec import Struct

from rimward.events import RimwardError
from rimward.lab.emulator.impairment import Direction


class EmulatorError(RimwardError):
    """The machine does not let us emulate; the message says what it said."""

    code = "emulator"


class Place(Struct, frozen=True):
    """One namespace."""

    name: str
    namespace: str  # as `ip netns` knows it
    address: str


class Spec(Struct, frozen=True):
    """What the router is to connect."""

    places: tuple[Place, ...]
    prefix: int  # bits that all addresses share
    seed: int


class Wish(Struct, frozen=True, omit_defaults=True):
    """A line to the router: another link in one direction, or only what it has counted."""

    source: str = ""
    destination: str = ""
    direction: Direction | None = None


class Answer(Struct, frozen=True, omit_defaults=True):
    """The router's line in return."""

    error: str = ""
    counters: dict[str, dict[str, int]] = {}


def run_ip(*words: str) -> str:
    """Run the system's `ip` and return what it says.

    Raises:
        EmulatorError: it is not there, or refuses.
    """
    try:
        done = subprocess.run(["ip", *words], capture_output=True, text=True, timeout=30, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise EmulatorError(f"ip {' '.join(words)}: {error}: iproute2 has to be installed") from None
    if done.returncode != 0:
        raise EmulatorError(f"ip {' '.join(words)}: {done.stderr.strip() or 'it failed'}")
    return done.stdout
