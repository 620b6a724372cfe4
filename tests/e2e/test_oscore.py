"""aiocoap's client by OSCORE against `rimward dev`: as `device add` says, over a kill -9, and observing."""

import asyncio
import json
import socket
import subprocess
import sys
from collections.abc import Generator
from pathlib import Path

import pytest
from tests.e2e.running import PATIENCE, Dev

from rimward.protocols.coap import ClientExchange, Timing, request
from rimward.protocols.coap.codes import CSM, POST

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(180)]
APP = """\
from msgspec import Struct
from rimward import App, CommandTimeout, Device, NotConnected, State, coap

app = App("meters", compat="2026-11-01")


class Reading(Struct):
    kwh: float


@app.state(key="meter", durable=True)
class Total(Struct):
    kwh: float = 0.0


@app.edge(coap.post("meters/{meter}"))
def add(reading: Reading, state: State[Total], device: Device) -> str:
    state.value.kwh += reading.kwh
    return f"{device.id} {state.value.kwh}"


@app.edge(coap.get("meters/{meter}"))
def read(state: State[Total]) -> str:
    return f"total {state.value.kwh}"


@app.edge(coap.post("tune/{meter}"))
async def tune(meter: str, device: Device) -> str:
    try:
        return "set to " + await device.command("set", {"to": 7}, timeout="20s", reply=str)
    except (CommandTimeout, NotConnected) as error:
        return str(error)


@app.edge(coap.post("office/{meter}"))
def correct(reading: Reading, state: State[Total]) -> None:
    state.value.kwh = reading.kwh
"""
DEVICE = """\
import asyncio, json, sys
from aiocoap import CHANGED, POST, Context, Message, resource
from aiocoap.credentials import CredentialsMap
from aiocoap.oscore_sitewrapper import OscoreSiteWrapper

class Setting(resource.Resource):
    async def render_post(self, request):
        return Message(code=CHANGED, payload=b"what came: " + request.payload)

async def main(credentials, address):
    site = resource.Site()
    site.add_resource(["commands", "set"], Setting())
    known = CredentialsMap()
    with open(credentials) as file:
        known.load_from_dict(json.load(file))
    site = OscoreSiteWrapper(site, known)
    context = await Context.create_server_context(site, bind=("127.0.0.1", 0))
    context.client_credentials = known
    print((await context.request(Message(code=POST, uri=address)).response).payload.decode(), flush=True)

asyncio.run(main(*sys.argv[1:]))
"""  # what a device is: it asks, and is asked on the same socket
ANYONE = '\n[[rule]]\nanyone = true\nrequest = ["POST /office/+"]\n'
CLIENT = [sys.executable, "-W", "ignore", "-m", "aiocoap.cli.client"]
OBSERVER = """\
import asyncio, json, sys
from aiocoap import GET, Context, Message

async def main(credentials, address):
    context = await Context.create_client_context()
    with open(credentials) as file:
        context.client_credentials.load_from_dict(json.load(file))
    asking = context.request(Message(code=GET, uri=address, observe=0))
    print((await asking.response).payload.decode(), flush=True)
    async for notification in asking.observation:
        print(notification.payload.decode(), flush=True)

asyncio.run(main(*sys.argv[1:]))
"""  # its command ends an observation as soon as it has begun


class Meter:
    """aiocoap's command, with the keys that `rimward device add` has shown."""

    def __init__(self, folder: Path, port: int, keys: dict[str, str]) -> None:
        self.address = f"coap://127.0.0.1:{port}"
        context = folder / f"context-{port}"
        context.mkdir()
        names = {"sender": "sender-id", "recipient": "recipient-id", "secret": "secret", "salt": "salt"}
        settings = {f"{names[name]}_hex": value for name, value in keys.items()}
        (context / "settings.json").write_text(json.dumps(settings))
        self.credentials: Path = folder / f"credentials-{port}.json"
        place = {"oscore": {"basedir": f"{context}/"}}
        self.credentials.write_text(json.dumps({f"{self.address}/*": place}))

    def post(self, path: str, payload: str) -> str:
        """Return what came back, or what was complained of."""
        words = ("-m", "POST", "--payload", payload, f"{self.address}/{path}")
        command = [*CLIENT, "--credentials", str(self.credentials), *words]
        done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE, check=False)
        return (done.stdout + done.stderr).strip()


@pytest.fixture
def place(tmp_path: Path) -> Generator[tuple[Dev, Meter]]:
    (tmp_path / "app.py").write_text(APP)
    access = tmp_path / "access.toml"
    added = subprocess.run(
        [sys.executable, "-m", "rimward", "device", "add", "m-7", "--oscore", "--json", "--access", access],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    access.write_text(access.read_text() + ANYONE)
    with Dev(tmp_path / "app.py", tmp_path / "data", "--access", str(access), "--coap", "0") as dev:
        yield dev, Meter(tmp_path, dev.ready["coap"], json.loads(added.stdout)["oscore"])


def test_one_port_number_serves_udp_and_tcp(place: tuple[Dev, Meter]) -> None:
    dev, _ = place
    assert set(dev.ready["more"]) == {"coap"}
    with socket.create_connection(("127.0.0.1", dev.ready["coap"])) as connection:
        assert connection.recv(2)[1] == CSM


def test_a_device_has_its_identity_also_after_the_node_was_killed(place: tuple[Dev, Meter]) -> None:
    dev, meter = place
    assert meter.post("meters/m-7", '{"kwh": 2}') == "m-7 2.0"
    assert "m-7 may not ask for POST /meters/m-8" in meter.post("meters/m-8", '{"kwh": 2}')
    dev.kill("node")
    assert meter.post("meters/m-7", '{"kwh": 3}') == "m-7 5.0"


def test_a_device_is_commanded_by_oscore_on_the_socket_that_it_asked_from(place: tuple[Dev, Meter]) -> None:
    _, meter = place
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", DEVICE, meter.credentials, f"{meter.address}/tune/m-7"],
        capture_output=True, text=True, timeout=PATIENCE, check=False,
    )  # fmt: skip
    assert done.stdout == 'set to what came: {"to":7}\n', done.stderr


async def office(port: int, kwh: int) -> None:
    """Correct a meter without OSCORE, as anyone may."""

    class Socket(asyncio.DatagramProtocol):
        def datagram_received(self, data: bytes, addr: object) -> None:
            exchange.receive(data, 0)
            done.set()

    done = asyncio.Event()
    exchange = ClientExchange(request(POST, "office/m-7", b'{"kwh": %d}' % kwh), b"o", kwh, Timing(), 0)
    loop = asyncio.get_running_loop()
    transport, _ = await loop.create_datagram_endpoint(Socket, remote_addr=("127.0.0.1", port))
    transport.sendto(exchange.outgoing[0])
    await done.wait()
    transport.close()
    assert exchange.response is not None


async def test_an_observer_hears_what_changes(place: tuple[Dev, Meter]) -> None:
    dev, meter = place
    script = (sys.executable, "-W", "ignore", "-c", OBSERVER)
    process = await asyncio.create_subprocess_exec(
        *script, str(meter.credentials), f"{meter.address}/meters/m-7", stdout=asyncio.subprocess.PIPE
    )
    assert process.stdout is not None
    try:
        async with asyncio.timeout(PATIENCE):
            heard = [await process.stdout.readline()]
            for kwh in (7, 8):
                await office(dev.ready["coap"], kwh)
                heard.append(await process.stdout.readline())
    finally:
        process.kill()
        await process.wait()
    assert heard == [b"total 0.0\n", b"total 7.0\n", b"total 8.0\n"]
