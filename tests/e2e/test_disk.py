"""A disk that takes nothing any more: actions go on, durable messages are refused, and it mends by itself."""

import asyncio
import os
import resource
from pathlib import Path

import pytest
from tests.e2e.running import Dev, until
from tests.edge.gateways.mqtt_support import Client

from rimward.protocols.mqtt import Connect, Puback

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(180)]
APP = """\
from msgspec import Struct
from rimward import App, mqtt

app = App("disk", compat="2026-11-01")


class Reading(Struct):
    n: int


@app.fact
class Seen(Struct):
    n: int


@app.edge(mqtt("act/{meter}"))
def act(meter: str, reading: Reading) -> None:
    app.publish(f"acted/{meter}", reading)


@app.edge(mqtt("keep/{meter}"))
def keep(meter: str, reading: Reading) -> None:
    app.forward(Seen(reading.n + len(meter)))
"""
NOT_FIT = b'{"n": "many"}'


async def connected(port: int, name: str, version: int) -> Client:
    client = await Client.open(port, Connect(name, version, True, 0, None, None, None, None))
    await client.next()
    return client


async def told(port: int, topic: str, payload: bytes, version: int) -> int | None:
    """Return the reason of a QoS 1 message's acknowledgement, None where the connection was closed."""
    client = await connected(port, f"device-{version}", version)
    try:
        client.publish(topic, payload, 1)
        answer = await client.next() if version == 5 else await client.ended()
        assert answer is None or isinstance(answer, Puback)
        return None if answer is None else answer.reason
    finally:
        client.hang_up()


async def refused_and_acting(port: int) -> None:
    for topic, payload in (("keep/m", b'{"n": 1}'), ("keep/m", NOT_FIT), ("keep/a%2Fb", b"x")):
        assert await told(port, topic, payload, 5) == 0x97, topic
        assert await told(port, topic, payload, 4) is None, topic
    await acting(port)


async def acting(port: int) -> None:
    client = await connected(port, "watcher", 5)
    await client.subscribe("acted/#")
    client.publish("act/m", b'{"n": 7}')
    assert (await client.message()).payload == b'{"n":7}'
    client.hang_up()


async def taken_at_last(port: int) -> None:
    async with asyncio.timeout(60):
        while True:
            try:
                if await told(port, "keep/m", b'{"n": 2}', 5) == 0:
                    return
            except (OSError, asyncio.IncompleteReadError, AssertionError):
                await asyncio.sleep(0.1)
            await asyncio.sleep(0.1)


def test_a_disk_that_fails_refuses_what_is_durable_and_the_node_starts_anew_when_it_works_again(
    tmp_path: Path,
) -> None:
    app = tmp_path / "app.py"
    app.write_text(APP)
    with Dev(app, tmp_path / "data") as dev:
        port, pids = dev.ready["mqtt"], dev.pids()
        node = pids["node"]
        assert node is not None
        asyncio.run(taken_at_last(port))
        before = resource.prlimit(node, resource.RLIMIT_FSIZE)
        resource.prlimit(
            node, resource.RLIMIT_FSIZE, (0, before[1])
        )  # every write fails, none for want of room
        asyncio.run(refused_and_acting(port))
        assert dev.pids()["node"] == node
        until(lambda: dev.run("status").returncode == 1, "status says that something is grave")
        ledger = dev.run("ledger")
        assert (ledger.returncode, "outbox is broken" in ledger.stdout) == (1, True)
        resource.prlimit(node, resource.RLIMIT_FSIZE, before)
        until(lambda: dev.pids()["node"] not in (node, None), "the node has started anew")
        asyncio.run(taken_at_last(port))
        assert list((tmp_path / "data" / "node").glob("*.abandoned")), "with a copy of what could be read"
        now = dev.pids()
        assert {name: pid for name, pid in now.items() if name != "node"} == {
            name: pid for name, pid in pids.items() if name != "node"
        }


def test_what_is_in_the_data_folder_is_the_owners_alone(tmp_path: Path) -> None:
    app, before = tmp_path / "app.py", os.umask(0o022)
    app.write_text(APP)
    try:
        with Dev(app, tmp_path / "data") as dev:
            asyncio.run(taken_at_last(dev.ready["mqtt"]))
            until(
                lambda: (
                    sum(one["stored"] for one in dev.json_lines_of_any("ledger") if not one["system"]) > 0
                ),
                "a row is stored",
            )
            found = [dev.data, *dev.data.rglob("*")]
            modes = {path: path.lstat().st_mode & 0o777 for path in found if path.exists()}
    finally:
        os.umask(before)
    assert len(modes) > 20
    assert modes[dev.data] == 0o700
    assert {str(path): oct(mode) for path, mode in modes.items() if mode & 0o077} == {}


def test_a_data_folder_that_is_moved_away_for_a_while_ends_nothing(tmp_path: Path) -> None:
    app, away = tmp_path / "app.py", tmp_path / "away"
    app.write_text(APP)
    with Dev(app, tmp_path / "data") as dev:
        port, pids = dev.ready["mqtt"], dev.pids()
        supervisor = pids["supervisor"]
        assert supervisor is not None
        asyncio.run(taken_at_last(port))
        settled = "every row is stored: to a commit the hub would take the lake for deleted, and make it anew"
        until(
            lambda: all(one["stored"] and not one["waiting"] for one in dev.json_lines_of_any("ledger")),
            settled,
        )
        dev.data.rename(away)
        asyncio.run(acting(port))
        assert dev.process.poll() is None
        away.rename(dev.data)
        asyncio.run(taken_at_last(port))
        assert dev.pids()["supervisor"] == supervisor
