"""The emulator between real sockets in namespaces of their own."""

import socket
import time
from collections.abc import Generator

import pytest

from rimward.lab.emulator import Direction, Emulator, EmulatorError, why_not

REASON = why_not()
pytestmark = pytest.mark.skipif(REASON is not None, reason=str(REASON))
PORT = 7


@pytest.fixture(scope="module")
def lab() -> Generator[Emulator]:
    with Emulator(("edge", "cloud"), seed=5) as lab:
        yield lab


def exchange(lab: Emulator, packets: int, pause: float = 0.0, patience: float = 1.0) -> list[float]:
    """Send packets from edge to cloud, where they are received; return each one's time on its way."""

    def bound() -> socket.socket:
        found = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        found.bind(("0.0.0.0", 0))
        return found

    sender, receiver = lab.inside("edge", bound), lab.inside("cloud", bound)
    address = (lab.address("cloud"), receiver.getsockname()[1])
    receiver.settimeout(patience)
    with sender, receiver:
        receiver.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
        for _ in range(packets):
            sender.sendto(str(time.monotonic_ns()).encode(), address)
            time.sleep(pause)
        taken: list[float] = []
        try:
            while len(taken) < packets:
                data = receiver.recv(100)
                taken.append((time.monotonic_ns() - int(data)) / 1e9)
        except TimeoutError:
            return taken
    return taken


def test_loss_and_delay_are_those_of_the_link(lab: Emulator) -> None:
    assert len(exchange(lab, 200)) == 200
    lab.between("edge", "cloud", Direction(delay=0.2, loss=0.3))
    before = lab.counters()["edge>cloud"]
    taken = exchange(lab, 500)
    after = lab.counters()["edge>cloud"]
    assert after["entered"] - before["entered"] == 500
    assert after["lost"] - before.get("lost", 0) == 500 - len(taken)
    assert 300 < len(taken) < 400, "0.3 of 500, within five standard deviations"
    assert min(taken) >= 0.2, "never early"
    lab.between("edge", "cloud", Direction())


def test_a_half_open_link_carries_one_direction(lab: Emulator) -> None:
    lab.cut("edge", "cloud", both=False)
    assert exchange(lab, 5, patience=0.2) == []
    assert lab.counters()["edge>cloud"]["down"] >= 5
    lab.mend("edge", "cloud")
    assert len(exchange(lab, 5)) == 5


def test_a_rate_holds_what_it_can_and_drops_the_rest(lab: Emulator) -> None:
    lab.one_way("edge", "cloud", Direction(rate=8_000, queue=1500))  # a packet takes some 50 ms
    before = lab.counters()["edge>cloud"].get("full", 0)
    came = exchange(lab, 200)
    assert 0 < len(came) < 200
    assert lab.counters()["edge>cloud"]["full"] - before == 200 - len(came)
    lab.mend("edge", "cloud")
    lab.between("edge", "cloud", Direction())


def test_namespaces_reach_each_other_and_nothing_else(lab: Emulator) -> None:
    def outside() -> str:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
            try:
                probe.connect(("192.0.2.1", 9))
            except OSError as error:
                return type(error).__name__ + str(error.errno)
        return "reached"

    assert lab.inside("edge", outside) == "OSError101"  # network is unreachable


def test_what_a_function_inside_raises_is_raised_outside(lab: Emulator) -> None:
    def fail() -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        lab.inside("edge", fail)
    with pytest.raises(EmulatorError, match="loss is 2"):
        lab.between("edge", "cloud", Direction(loss=2))
    with pytest.raises(EmulatorError, match="2 to 200 different names"):
        Emulator(("a", "a"))
