"""What a device was told is safe is a row, whoever is killed."""

import shutil
import socket
import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from running import Dev, gone, until

APP = """\
from msgspec import Struct
from rimward import App, Stream, mqtt

app = App("kills", compat="2026-11-01")


class Reading(Struct):
    n: int


@app.fact(priority="critical")
class Seen(Struct):
    meter: str
    n: int


@app.fact
class Pair(Struct):
    meter: str
    n: int


@app.edge(mqtt("meters/{meter}/reading"))
def keep(meter: str, reading: Reading) -> None:
    app.forward(Seen(meter, reading.n))
    if reading.n % 2 == 0:
        app.forward(Pair(meter, reading.n))
"""

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(240)]


def publish(port: int, meter: str, numbers: range) -> list[int]:
    """Publish at QoS 1, each by a client of its own; return what was acknowledged."""
    acknowledged: list[int] = []
    for n in numbers:
        done = subprocess.run(
            ["mosquitto_pub", "-h", "127.0.0.1", "-p", str(port), "-i", f"{meter}-{n}", "-q", "1",
             "-t", f"meters/{meter}/reading", "-m", f'{{"n": {n}}}'],
            capture_output=True, timeout=60, check=False,
        )  # fmt: skip
        if done.returncode == 0:
            acknowledged.append(n)
    return acknowledged


@pytest.mark.skipif(
    shutil.which("mosquitto_pub") is None, reason="needs the Debian package mosquitto-clients"
)
def test_acknowledged_messages_are_rows_after_a_kill_of_each_process(tmp_path: Path) -> None:
    app = tmp_path / "app.py"
    app.write_text(APP)
    with Dev(app, tmp_path / "data") as dev:
        port = dev.ready["mqtt"]
        acknowledged: dict[str, list[int]] = {}
        for victim in ("node", "deep", "hub", "bus"):
            with ThreadPoolExecutor(1) as pool:
                results = pool.submit(publish, port, victim, range(30))
                dev.kill(victim)
                acknowledged[victim] = results.result()
        assert sum(map(len, acknowledged.values())) >= 100

        def rows(table: str) -> list[tuple[str, int]]:
            return [
                (row["meter"], row["n"]) for row in dev.json_lines("sql", f"select meter, n from {table}")
            ]

        wanted = {(meter, n) for meter, numbers in acknowledged.items() for n in numbers}
        until(lambda: wanted <= set(rows("seen")), "every acknowledged message is a row")
        until(lambda: {(m, n) for m, n in wanted if n % 2 == 0} <= set(rows("pair")), "its second fact too")
        until(lambda: all(entry["balanced"] for entry in dev.json_lines("ledger")), "the ledger balances")
        identities = dev.json_lines("sql", "select _node, _epoch, _seq from seen")
        assert len({tuple(row.values()) for row in identities}) == len(identities)


def test_a_killed_dev_leaves_no_process_and_no_port(tmp_path: Path) -> None:
    app = tmp_path / "app.py"
    app.write_text(APP)
    with Dev(app, tmp_path / "data") as dev:
        pids = [pid for pid in dev.ready["pids"].values() if pid is not None]
        dev.process.kill()
        until(lambda: all(gone(pid) for pid in pids), "every process has ended")
    for gateway in ("mqtt", "http"):
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", dev.ready[gateway]))


def test_a_killed_supervisor_is_replaced_and_nothing_is_left_of_it(tmp_path: Path) -> None:
    app = tmp_path / "app.py"
    app.write_text(APP)
    with Dev(app, tmp_path / "data") as dev:
        before = dev.pids()
        dev.kill("supervisor")
        del before["dev"]  # it goes on, and starts the rest again
        until(lambda: all(gone(pid) for pid in before.values()), "its children have ended")
        until(lambda: all(dev.pids().values()), "everything runs again")
