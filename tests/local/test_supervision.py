import asyncio
import json
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from rimward.local.errors import DevError
from rimward.local.supervision import Event, Supervision, describe

SERVE = "import os, sys, signal; os.write(int(sys.argv[1]), b'{}\\n'); signal.pause()"


def write_spec(folder: Path, wanted: int = 0) -> Callable[[dict[str, int]], Path]:
    def write(ports: dict[str, int]) -> Path:
        argv = [sys.executable, "-S", "-E", "-c", SERVE, "{ready}"]
        spec = {
            "logs": str(folder),
            "state": str(folder / "state.json"),
            "listeners": {"mqtt": ["127.0.0.1", ports.get("mqtt", wanted)]},
            "processes": [{"name": "node", "argv": argv}],
        }
        path = folder / "spec.json"
        path.write_text(json.dumps(spec))
        return path

    return write


@pytest.fixture
def lock(tmp_path: Path) -> int:
    return os.open(tmp_path / "lock", os.O_CREAT | os.O_RDWR)


async def test_a_dead_supervisor_is_replaced_on_the_same_port_and_says_so(tmp_path: Path, lock: int) -> None:
    supervision = Supervision(write_spec(tmp_path), tmp_path / "supervisor.log", lock)
    seen: list[Event] = []
    async for event in supervision.events():
        seen.append(event)
        if event.event == "ready":
            if [one.event for one in seen].count("ready") == 1:
                assert supervision.pid is not None
                os.kill(supervision.pid, signal.SIGKILL)
            else:
                supervision.stop()
    os.close(lock)
    life = ["listening", "started", "ready"]
    assert [event.event for event in seen] == [*life, "supervisor-died", *life, "stopping", "stopped"]
    assert seen[0].ports == seen[4].ports
    assert seen[1].pid != seen[5].pid
    assert describe(seen[3]) == (
        "the supervisor died (signal 9) and all that it ran with it: they are started again"
    )


async def test_a_supervisor_that_dies_while_nothing_can_be_written_is_replaced_on_the_same_port(
    tmp_path: Path, lock: int
) -> None:
    write, full = write_spec(tmp_path), False

    def write_unless_full(ports: dict[str, int]) -> Path:
        if full:
            raise DevError("no space left on device")
        return write(ports)

    supervision = Supervision(write_unless_full, tmp_path / "supervisor.log", lock)
    seen: list[Event] = []
    async for event in supervision.events():
        seen.append(event)
        if event.event == "ready" and not full:
            full = True
            assert supervision.pid is not None
            os.kill(supervision.pid, signal.SIGKILL)
        elif event.event == "ready":
            supervision.stop()
    os.close(lock)
    listening = [event for event in seen if event.event == "listening"]
    assert len(listening) == 2
    assert listening[0].ports == listening[1].ports


async def test_a_supervisor_that_can_not_be_started_again_is_tried_again(
    tmp_path: Path, lock: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    supervision = Supervision(write_spec(tmp_path), tmp_path / "supervisor.log", lock)
    seen: list[str] = []
    async for event in supervision.events():
        seen.append(event.event)
        if event.event == "ready" and "failed" not in seen:
            assert supervision.pid is not None
            monkeypatch.setattr(sys, "executable", str(tmp_path / "none"))
            os.kill(supervision.pid, signal.SIGKILL)
        elif event.event == "failed":
            monkeypatch.undo()
        elif event.event == "ready":
            supervision.stop()
    os.close(lock)
    assert seen.count("failed") == 1
    assert seen.count("ready") == 2


async def test_a_kill_ends_everything_at_once(tmp_path: Path, lock: int) -> None:
    supervision = Supervision(write_spec(tmp_path), tmp_path / "supervisor.log", lock)
    async for event in supervision.events():
        if event.event == "ready":
            supervision.kill()
    assert supervision.pid is None
    os.close(lock)


async def test_a_port_in_use_is_one_sentence_with_the_flag_that_helps(tmp_path: Path, lock: int) -> None:
    server = await asyncio.get_running_loop().create_server(asyncio.Protocol, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    supervision = Supervision(write_spec(tmp_path, port), tmp_path / "supervisor.log", lock)
    with pytest.raises(DevError) as error:
        async for _ in supervision.events():
            pass
    assert str(error.value) == (
        f"port {port} (mqtt) can't be used (Address already in use): "
        "stop what uses it, or choose another, --mqtt 0 picks a free one"
    )
    server.close()
    await server.wait_closed()
    os.close(lock)


async def test_an_address_that_is_not_ours_is_one_sentence_with_its_cure(tmp_path: Path, lock: int) -> None:
    write = write_spec(tmp_path)

    def elsewhere(ports: dict[str, int]) -> Path:
        path = write(ports)
        path.write_text(path.read_text().replace("127.0.0.1", "192.0.2.1"))
        return path

    with pytest.raises(DevError) as error:
        async for _ in Supervision(elsewhere, tmp_path / "supervisor.log", lock).events():
            pass
    assert str(error.value) == (
        "192.0.2.1:0 (mqtt) can't be used (Cannot assign requested address): "
        "give --host an address of this machine, which ip address lists"
    )
    os.close(lock)


def test_events_without_news_say_nothing() -> None:
    assert describe(Event("ready", name="node")) is None
    assert describe(Event("ended", name="replay")) == "replay is over"
    assert describe(Event("ended", name="replay", code=1, log=["no such file"])) == (
        "replay ended with exit code 1: no such file"
    )
    assert describe(Event("crash-loop", name="hub", code=-11, log=["a", "b", "c", "d"])) == (
        "hub dies again and again (signal 11): b | c | d"
    )
