import asyncio
import re
import socket
from pathlib import Path
from typing import Any

import msgspec
import pytest

from rimward.console.server import listen, serve

from .conftest import Client


async def next_event(reader: asyncio.StreamReader) -> tuple[str, dict[str, Any]]:
    """Return the id and the parts of the next change."""
    name = ""
    async with asyncio.timeout(10):
        while True:
            line = (await reader.readline()).decode().rstrip("\r\n")
            assert line or not reader.at_eof()
            if line.startswith("id: "):
                name = line[4:]
            elif line.startswith("data: {"):
                return name, msgspec.json.decode(line[6:])


async def test_the_page_is_readable_without_scripts(client: Client) -> None:
    page = (await client.ask("/", await client.sign_in())).body
    assert "Down. No node has written figures yet." in page
    assert '<noscript><meta http-equiv="refresh"' in page


async def test_what_is_wrong_is_read_by_programs_too(client: Client) -> None:
    assert (await client.ask("/problems")).status == 401
    found = msgspec.json.decode((await client.ask("/problems", await client.sign_in())).body)
    assert {"grave": True, "what": "No node has written figures yet.", "cure": "See logs/node.log."} in found


async def test_the_page_has_nothing_inline_and_loads_only_what_is_served(client: Client) -> None:
    cookie = await client.sign_in()
    page = (await client.ask("/", cookie)).body
    assert not re.search(r"<script(?![^>]*\bsrc=)|<style|\son\w+=|\sstyle=", page)
    for path in re.findall(r'(?:src|href)="([^"]+)"', page):
        assert (await client.ask(path, cookie)).status == 200, path


async def test_a_first_listener_gets_every_part(client: Client) -> None:
    cookie = await client.sign_in()
    page = (await client.ask("/", cookie)).body
    _, changed = await next_event(await client.open("/events", cookie))
    await client.close()
    assert {"verdict", "problems", "devices", "edge", "network", "cloud", "functions", "ledger"} <= set(
        changed
    )
    assert changed["verdict"] in page


async def test_who_comes_back_gets_only_what_changed_since(client: Client, tmp_path: Path) -> None:
    cookie = await client.sign_in()
    await client.ask("/", cookie)
    name, _ = await next_event(await client.open("/events", cookie))
    await client.close()
    await asyncio.to_thread(write_link, tmp_path)
    later, changed = await next_event(await client.open("/events", cookie, f"Last-Event-ID: {name}"))
    await client.close()
    assert later != name
    assert "network" in changed
    assert "traces" not in changed


def write_link(data: Path) -> None:
    (data / "node").mkdir()
    (data / "node" / "uplink.json").write_text('{"connected": true, "at": 1, "rtt_ms": 2, "errors": {}}')


@pytest.mark.parametrize("name", ["other-7", "garbage", "-", "x" * 5000])
async def test_an_unknown_last_event_id_gets_every_part(client: Client, name: str) -> None:
    cookie = await client.sign_in()
    await client.ask("/", cookie)
    _, changed = await next_event(await client.open("/events", cookie, f"Last-Event-ID: {name}"))
    await client.close()
    assert "traces" in changed


async def test_closing_ends_open_streams_and_frees_the_port(tmp_path: Path) -> None:
    async with serve(tmp_path, listen("127.0.0.1", 0), token="t") as console:
        client = Client(console, [])
        reader = await client.open("/events", "Authorization: Bearer t")
        await next_event(reader)
    async with asyncio.timeout(5):
        await reader.read()
    await client.close()
    listen("127.0.0.1", console.port).close()


async def test_two_consoles_have_tokens_of_their_own(tmp_path: Path) -> None:
    async with (
        serve(tmp_path, listen("127.0.0.1", 0)) as one,
        serve(tmp_path, listen("127.0.0.1", 0)) as other,
    ):
        assert one.port != other.port
        assert one.link.partition("=")[2] != other.link.partition("=")[2]
        assert len(one.link.partition("=")[2]) >= 40


def test_a_port_in_use_is_an_os_error() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken, pytest.raises(OSError, match="in use"):
        listen("127.0.0.1", taken.getsockname()[1])
