"""What a device was told is safe is a row, whoever is killed, and whatever the disk had not written yet."""

import shutil
import socket
from pathlib import Path

import pytest
from tests.e2e.load import Load, check, write_app
from tests.e2e.running import Dev, gone, until
from tests.faults.powerloss import Disk, compiler

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(240)]
needs_mosquitto = pytest.mark.skipif(
    shutil.which("mosquitto_pub") is None, reason="needs the Debian package mosquitto-clients"
)


@needs_mosquitto
def test_acknowledged_messages_are_rows_after_a_kill_of_each_process_under_load(tmp_path: Path) -> None:
    with Dev(write_app(tmp_path), tmp_path / "data") as dev:
        dead: list[int] = []
        with Load(dev.ready["mqtt"]) as load:
            for victim in ("node", "deep", "ingest", "hub", "bus", "node"):
                load.more(15)
                dead.append(dev.kill(victim))
            load.more(15)
        assert len(set(dead)) == 6
        states = dev.json_lines("status")[0]["processes"]
        restarts = {
            name: states[name]["restarts"] for name in ("supervisor", "node", "deep", "hub", "ingest", "bus")
        }
        assert restarts == {"supervisor": 0, "node": 2, "deep": 1, "hub": 1, "ingest": 1, "bus": 1}
        assert len(load.acknowledged) >= 90
        check(dev, load.sent, load.acknowledged)


@needs_mosquitto
@pytest.mark.skipif(compiler() is None, reason="needs a C compiler: apt-get install gcc libc6-dev")
def test_acknowledged_messages_are_rows_after_a_power_cut(tmp_path: Path) -> None:
    """Everything dies at once, and of every file only what was synced is left; of the bus nothing at all."""
    app, root = write_app(tmp_path), tmp_path / "data"
    root.mkdir()
    disk = Disk(tmp_path / "scratch", root)
    with Dev(app, root, environment=disk.environment()) as dev, Load(dev.ready["mqtt"]) as load:
        load.more(25)
        dev.cut_power()
    after = disk.rebuilt(tmp_path / "after")
    assert not list(after.glob("bus/**/*.blk")), "the bus's files are not synced by what this library sees"
    with Dev(app, after) as dev:
        check(dev, load.sent, load.acknowledged)


def test_a_killed_dev_leaves_no_process_and_no_port(tmp_path: Path) -> None:
    with Dev(write_app(tmp_path), tmp_path / "data") as dev:
        pids = [pid for pid in dev.ready["pids"].values() if pid is not None]
        dev.process.kill()
        until(lambda: all(gone(pid) for pid in pids), "every process has ended")
    for gateway in ("mqtt", "http"):
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", dev.ready[gateway]))


def test_a_killed_supervisor_is_replaced_and_nothing_is_left_of_it(tmp_path: Path) -> None:
    with Dev(write_app(tmp_path), tmp_path / "data") as dev:
        before = dev.pids()
        dev.kill("supervisor")
        del before["dev"]  # it goes on, and starts the rest again
        until(lambda: all(gone(pid) for pid in before.values() if pid), "its children have ended")
        until(lambda: all(dev.pids().values()), "everything runs again")
