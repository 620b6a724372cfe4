"""The simulated fleet against a server: it publishes, obeys, and keeps the truth in a file of its own."""

import asyncio
import json
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from rimward.protocols.mqtt import Publish

from .peer import Link, Peer, closed_port


@pytest.fixture
async def peer() -> AsyncIterator[Peer]:
    async with Peer() as peer:
        yield peer


async def run(*arguments: str) -> tuple[int | None, str, str]:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "rimward.devices.cold_chain", *arguments,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip
    out, err = await process.communicate()
    return process.returncode, out.decode(), err.decode()


async def test_every_reading_is_acknowledged_and_the_truth_is_written_aside(
    peer: Peer, tmp_path: Path
) -> None:
    labels = tmp_path / "labels.jsonl"
    code, out, err = await run(
        "--port", str(peer.port), "--trucks", "20", "--every", "60", "--speed", "2400", "--for", "1.5",
        "--labels", str(labels),
    )  # fmt: skip
    assert (code, err) == (0, "")
    outcome = json.loads(out)
    assert outcome["readings"] == outcome["acknowledged"] == len(peer.published) > 500
    told = [json.loads(line) for line in labels.read_text().splitlines()]
    assert len(told) == outcome["labels"] > 0
    assert {label["kind"] for label in told} <= {"door", "drift", "stuck", "dropout"}
    assert all(set(json.loads(packet.payload)) == {"celsius", "at"} for packet in peer.published)


async def test_a_truck_obeys_the_chillers_topic(peer: Peer) -> None:
    def chill(link: Link, packet: Publish) -> None:
        link.acknowledge(packet)
        mode = b"max" if len(peer.published) % 2 else b"maximum"
        link.send(packet.topic.replace("temperature", "chiller"), b'{"mode": "%s"}' % mode)

    peer.on_publish = chill
    code, out, _ = await run("--port", str(peer.port), "--trucks", "2", "--speed", "200", "--for", "0.3")
    outcome = json.loads(out)
    assert code == 0
    assert outcome["commands"] == outcome["readings"] > 1
    assert outcome["bad_commands"] == outcome["readings"] // 2


async def test_trucks_that_drive_tell_of_their_doors_and_where_they_are(peer: Peer) -> None:
    code, out, err = await run(
        "--port", str(peer.port), "--trucks", "3", "--every", "60", "--speed", "2400", "--for", "0.8",
        "--drive",
    )  # fmt: skip
    assert (code, err) == (0, "")
    assert json.loads(out)["acknowledged"] == len(peer.published)
    assert {packet.topic.split("/")[2] for packet in peer.published} == {"temperature", "position", "door"}


async def test_nobody_at_the_port_is_said_in_one_line() -> None:
    code, out, err = await run("--port", str(await closed_port()))
    assert (code, out, err.count("\n")) == (1, "", 1)
    assert err.startswith("cold_chain: nobody answers")
