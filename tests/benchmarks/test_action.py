"""The benchmark's own parts: the C programs, and how figures are made of samples."""

import os
import socket
import subprocess
from collections.abc import Iterator

import pytest
from benchmarks.__main__ import main, names
from benchmarks.action.figures import action_figures, footprint_figures
from benchmarks.rig.cells import Sample, loads
from benchmarks.rig.native import Load, Result, drive
from benchmarks.rig.processes import BenchError, cpu_ns, process, rss_bytes
from benchmarks.rig.servers import Server, responder

CONNECT = b"\x10\x0d\x00\x04MQTT\x04\x02\x00\x00\x00\x01b"
CONNACK = b"\x20\x02\x00\x00"
SUBSCRIBE = b"\x82\x06\x00\x01\x00\x01c\x01"
SUBACK = b"\x90\x03\x00\x01\x01"
PING = b"\xc0\x00"


@pytest.fixture
def server() -> Iterator[Server]:
    with responder() as running:
        yield running


def publish(payload: bytes, qos: int) -> bytes:
    body = b"\x00\x01r" + (b"\x00\x07" if qos else b"") + payload
    return bytes([0x30 | qos << 1, len(body)]) + body


def say(server: Server, data: bytes) -> bytes:
    """Send all and return what comes back before the PINGRESP."""
    with socket.create_connection(("127.0.0.1", server.port), timeout=5) as device:
        device.sendall(data)
        answer = b""
        while not answer.endswith(b"\xd0\x00"):  # PINGRESP
            part = device.recv(4096)
            if not part:
                raise ConnectionError("closed")
            answer += part
        return answer[:-2]


def test_the_responder_answers_readings_over_the_threshold_and_no_others(server: Server) -> None:
    readings = publish(b'{"celsius":30.5}', 0) + publish(b'{"celsius":29.5}', 0) + publish(b"text", 0)
    answer = say(server, CONNECT + SUBSCRIBE + readings + PING)
    assert answer == CONNACK + SUBACK + b'\x30\x11\x00\x01c{"mode":"max"}'


def test_the_responder_acknowledges_and_answers_at_qos_1(server: Server) -> None:
    answer = say(server, CONNECT + SUBSCRIBE + publish(b'{"celsius":31}', 1) + PING)
    assert answer == CONNACK + SUBACK + b"\x40\x02\x00\x07" + b'\x32\x13\x00\x01c\x00\x01{"mode":"max"}'


@pytest.mark.parametrize(
    "packet",
    [
        b"\x30\x02\xff\xff",  # a topic longer than its packet
        b"\x32\x03\x00\x01r",  # QoS 1 without a packet id
        b"\x30\xff\xff\xff\x7f",  # 256 MB
        b"\x30\xff\xff\xff\xff\x01",  # a length of five bytes
        b"\x82\x06\x00\x01\xff\xffcc",  # a filter longer than its packet
        b"\x82\x01\x00",  # a SUBSCRIBE of one byte
        b"\xf0\x00",  # no packet type
    ],
)
def test_the_responder_closes_on_a_packet_whose_lengths_lie(server: Server, packet: bytes) -> None:
    with pytest.raises(ConnectionError):
        say(server, CONNECT + packet + PING)
    assert say(server, CONNECT + PING) == CONNACK


@pytest.mark.parametrize("qos", [0, 1])
@pytest.mark.parametrize(("connections", "in_flight", "rate"), [(1, 1, 0), (4, 8, 0), (4, 1, 500)])
def test_the_load_client_gets_every_command_back(
    server: Server, connections: int, in_flight: int, rate: int, qos: int
) -> None:
    result = drive(server.port, Load(connections, in_flight, qos, rate, 10, 100))
    assert result.events > 0
    assert result.lost == 0
    assert 0 < result.p50 <= result.p99 <= result.p999 <= result.max
    assert cpu_ns([server.pids["responder"]]) > 0
    assert rss_bytes(server.pids["responder"]) > 0


def test_the_load_client_counts_commands_that_never_come(unanswering: Server) -> None:
    result = drive(unanswering.port, Load(2, 3, 0, 0, 10, 20))
    assert (result.events, result.lost) == (0, 6)


@pytest.fixture
def unanswering() -> Iterator[Server]:
    with responder(threshold=1e9) as running:
        yield running


def test_a_server_that_does_not_listen_is_an_error() -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]
        with pytest.raises(BenchError, match="did not answer"):
            drive(port, Load(1, 1, 0, 0, 10, 10), subprocess.DEVNULL)


def test_a_process_and_what_it_started_are_gone_when_its_block_ends() -> None:
    reading, writing = os.pipe()
    with process(["sh", "-c", "sleep 600 & wait"], fds=[writing]) as child:
        os.close(writing)  # the shell and its sleep have it still
    assert child.returncode is not None
    assert os.read(reading, 1) == b""
    os.close(reading)


def sample(us: int, cpu: float = 10.0, events: int = 1000) -> Sample:
    return Sample(Result(events, 1.0, us * 1000, us * 2000, 0, 0, 0), cpu)


def test_a_ratio_is_the_median_of_the_rounds_own_ratios() -> None:
    ours = [sample(50), sample(100), sample(900)]
    rival = [sample(100), sample(200), sample(900)]
    by_server = {"rimward": ours, "mosquitto+node-red": rival, "responder": [sample(10, cpu=4.0)] * 3}
    figures = {figure.name: figure for figure in action_figures(dict.fromkeys(loads(quick=True), by_server))}
    p50 = figures["p50, 64 devices, 5,000/s, to mosquitto+node-red"]
    assert (p50.value, p50.spread, p50.met) == (0.5, (0.5, 1.0), True)
    assert figures["p50, 64 devices, 5,000/s"].peers == {"mosquitto+node-red": 200.0, "responder": 10.0}
    cpu = figures["CPU an event, 64 devices, to responder"]
    assert (cpu.value, cpu.met) == (2.5, False)
    assert figures["throughput, 64 devices, to mosquitto+node-red"].met is False


def test_a_peer_that_was_not_there_leaves_its_bars_unmet() -> None:
    by_server = {"rimward": [sample(50)], "mosquitto+node-red": list[Sample]()}
    figures = action_figures(dict.fromkeys(loads(quick=True), by_server))
    barred = [figure for figure in figures if figure.bar is not None]
    assert len(barred) == 4
    assert all(figure.value is None and figure.met is False for figure in barred)


def test_the_nodes_memory_is_what_its_processes_keep_together() -> None:
    idle = [{"node": 40.0, "supervisor": 10.0, "deep": 30.0, "hub": 500.0}]
    ready, io, node = footprint_figures([250.0, 310.0, 260.0], idle)
    assert (ready.value, ready.met) == (260.0, True)
    assert (io.value, node.value) == (40.0, 80.0)


def test_benchmarks_are_listed_and_unknown_ones_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert "action" in names()
    assert main([]) == 0
    assert "action" in capsys.readouterr().out
    assert main(["nonsense"]) == 2
    assert "no benchmark 'nonsense'" in capsys.readouterr().err
