"""What a person at the hub does by hand: command a device, and forget a key."""

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
from tests.e2e.running import Dev, until
from tests.edge.gateways.mqtt_support import Client

from rimward.cli import main
from rimward.cloud.lake.query import query
from rimward.protocols.mqtt import Connect

from .commands import command, lines

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(180)]
KEY = "house=the secret garden"


async def answering(port: int, beside: Path) -> tuple[list[dict[str, Any]], bytes]:
    """Be a device that answers one command; return what the command line said, and what came."""
    client = await Client.open(port, Connect("pump-7", 4, True, 0, None, None, None, None))
    await client.next()
    await client.subscribe("devices/pump-7/commands/#")
    words = ("device", "command", "pump-7", "stop", '{"at": 3}', "--timeout", "5s", "--json")
    asked = asyncio.create_task(asyncio.to_thread(command, *words, at=beside))
    came = await client.message()
    client.publish(came.topic.replace("/commands/", "/replies/"), b'{"stopped":true}', 1)
    done = await asked
    client.hang_up()
    assert done.returncode == 0, done.stderr
    return lines(done), came.payload


async def test_a_device_is_commanded_by_hand_and_its_answer_is_shown(dev: Dev, beside: Path) -> None:
    said, payload = await answering(dev.ready["mqtt"], beside)
    assert json.loads(payload) == {"at": 3}
    assert [one["state"] for one in said] == ["given", "taken", "ended"]
    assert (said[0]["node"], said[-1]["outcome"], said[-1]["reply"]) == ("node-1", "ok", '{"stopped":true}')


def said(capsys: pytest.CaptureFixture[str], dev: Dev, *words: str, code: int = 0) -> str:
    """Run a command in this process; return what it wrote."""
    capsys.readouterr()
    found = main([*words, "--data", str(dev.data)])
    out, err = capsys.readouterr()
    assert found == code, err
    return out if code != 2 else err


def test_a_device_that_is_not_there_is_said_to_be(dev: Dev, capsys: pytest.CaptureFixture[str]) -> None:
    words = ("device", "command", "ghost", "stop")
    told = said(capsys, dev, *words, "--expires", "1s", "--timeout", "1s", code=1)
    assert "given: stop to ghost at node-1" in told
    assert "expired" in told or "not known yet" in told
    assert "is none" in said(capsys, dev, *words, "{", code=2)


def rows(dev: Dev) -> int:
    asked = "select count(*) as n from frost where house = 'the secret garden'"
    return query(dev.data / "lake", asked).to_pylist()[0]["n"]


def test_a_key_is_erased_here_and_on_the_node_and_its_count_is_in_the_ledger(
    dev: Dev, capsys: pytest.CaptureFixture[str]
) -> None:
    topic = "houses/the secret garden/air"
    for celsius in (1.0, 1.5):
        said(capsys, dev, "send", "mqtt", topic, json.dumps({"celsius": celsius}), "--qos", "1")
    until(lambda: rows(dev) == 2, "both rows are in the lake")
    dry = [json.loads(line) for line in said(capsys, dev, "erase", KEY, "--dry-run", "--json").splitlines()]
    assert [one["rows"] for one in dry if one.get("place") == "lake"] == [2]
    assert rows(dev) == 2
    written = said(capsys, dev, "erase", KEY, "--json", "--wait", "60")
    done = [json.loads(line) for line in written.splitlines()]
    told = {one.get("place"): one for one in done}
    assert (told["lake"]["rows"], told["node"]["state"], told["node"]["rows"]) == (2, "done", 2)
    assert rows(dev) == 0
    for pattern in ("node/outbox*", "lake/frost/_day=*/**/*.parquet", "hub/*"):
        for file in dev.data.glob(pattern):
            assert b"the secret garden" not in file.read_bytes(), file
    found = [json.loads(line) for line in said(capsys, dev, "ledger", "--json").splitlines()]
    assert [(one["erased"], one["balanced"]) for one in found if one["fact"] == "frost"] == [(2, True)]


@pytest.mark.parametrize(
    ("key", "code", "says"),
    [
        ("house", 2, "is not FIELD=VALUE or FACT.FIELD=VALUE"),
        ("window=3", 1, "no fact has a field window"),
        ("frost.window=3", 1, "the fact frost has no field window"),
        ("celsius=1.5", 1, "celsius is of type float64"),
    ],
)
def test_a_key_that_is_none_is_refused_with_the_reason(
    dev: Dev, capsys: pytest.CaptureFixture[str], key: str, code: int, says: str
) -> None:
    assert main(["erase", key, "--data", str(dev.data)]) == code
    assert says in capsys.readouterr().err
