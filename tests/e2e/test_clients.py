"""Clients that others wrote, each pointed at a node as `rimward dev` runs it."""

import asyncio
import json
import queue
import shutil
import subprocess
import sys
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import aiomqtt
import paho.mqtt.client as paho
import pytest
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion

from .browser import Pages, browsing
from .running import PATIENCE, Dev

HERE = Path(__file__).parent / "clients"
VERSIONS = {4: MQTTProtocolVersion.MQTTv311, 5: MQTTProtocolVersion.MQTTv5}
pytestmark = pytest.mark.e2e

APP = '''\
from msgspec import Struct
from rimward import App, Reply, coap, http, mqtt

app = App("clients", compat="2026-11-01")


class Reading(Struct):
    celsius: float


class Command(Struct):
    who: str
    celsius: float


@app.edge(mqtt("trucks/{who}/reading"))
def warn(who: str, reading: Reading) -> None:
    app.publish(f"trucks/{who}/command", Command(who, reading.celsius))


@app.edge(http.post("/trucks/{who}"))
def echo(who: str, reading: Reading) -> Command:
    app.publish(f"trucks/{who}/command", Command(who, reading.celsius))
    return Command(who, reading.celsius)


@app.edge(coap.post("meters/{who}"))
def meter(who: str, reading: Reading) -> Command:
    return Command(who, reading.celsius)


@app.edge(http.get("/page"))
def page() -> Reply[str]:
    return Reply(PAGE, headers={"content-type": "text/html"})


PAGE = """PAGE HERE"""
'''


@pytest.fixture(scope="module")
def mqtt_js() -> Path:
    """MQTT.js, installed from its lock file."""
    npm = shutil.which("npm")
    if npm is None or shutil.which("node") is None:
        pytest.skip("needs node and npm: the Debian package npm has both")
    stamp = HERE / "node_modules" / "package-lock.json"
    lock = HERE / "package-lock.json"
    if not stamp.exists() or stamp.read_bytes() != lock.read_bytes():
        quiet = ("--omit=optional", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error")
        subprocess.run([npm, "ci", *quiet], cwd=HERE, check=True, stdout=sys.stderr, timeout=120)
        shutil.copy(lock, stamp)
    return HERE / "node_modules" / "mqtt"


@pytest.fixture(scope="module")
def site() -> Generator[Pages]:
    """A web server of the test's own: scripts for pages, and what pages report."""
    with Pages() as pages:
        yield pages


@pytest.fixture(scope="module")
def dev(tmp_path_factory: pytest.TempPathFactory, site: Pages) -> Generator[Dev]:
    """A node that runs for all tests of this module."""
    folder = tmp_path_factory.mktemp("clients")
    app = folder / "app.py"
    app.write_text(APP.replace("PAGE HERE", OWN_PAGE.replace("SCRIPTS", site.url)))
    with Dev(app, folder / "data", "--coap", "0") as dev:
        yield dev


def run(*command: str, check: bool = True) -> str:
    """Run a client to its end and return what it printed."""
    done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE, check=False)
    assert not check or done.returncode == 0, done.stdout + done.stderr
    return done.stdout


# -- mosquitto_pub, mosquitto_sub, mosquitto_rr


def mosquitto(dev: Dev, verb: str, *arguments: str, check: bool = True) -> str:
    program = shutil.which(f"mosquitto_{verb}")
    if program is None:
        pytest.skip("needs the Debian package mosquitto-clients")
    return run(program, "-p", str(dev.ready["mqtt"]), *arguments, check=check)


@pytest.mark.parametrize("qos", ["0", "1", "2"])
@pytest.mark.parametrize("version", ["311", "5"])
def test_mosquitto_gets_what_was_retained(dev: Dev, version: str, qos: str) -> None:
    topic, protocol = f"mosquitto/{version}/{qos}", ("-V", f"mqttv{version}", "-q", qos)
    mosquitto(dev, "pub", *protocol, "-t", topic, "-m", "kept", "-r")
    if qos == "0":  # nothing tells when it has arrived, but what is sent behind it
        mosquitto(dev, "pub", *protocol[:2], "-q", "1", "-t", topic, "-m", "kept", "-r")
    assert mosquitto(dev, "sub", *protocol, "-t", topic, "-C", "1", "-v") == f"{topic} kept\n"


@pytest.mark.parametrize("version", ["311", "5"])
def test_mosquitto_gets_the_answer_of_a_function(dev: Dev, version: str) -> None:
    reading = ("-t", "trucks/rr/reading", "-m", '{"celsius": 9.5}', "-e", "trucks/rr/command")
    answer = mosquitto(dev, "rr", "-V", f"mqttv{version}", "-q", "1", *reading)
    assert json.loads(answer) == {"who": "rr", "celsius": 9.5}


@pytest.mark.parametrize("version", ["311", "5"])
def test_mosquitto_comes_back_to_what_came_meanwhile(dev: Dev, version: str) -> None:
    topic, protocol = f"away/{version}", ("-V", f"mqttv{version}", "-q", "2")
    session = ("-c", "-i", f"keeper-{version}", "-t", topic)
    lasting = ("-x", "3600") if version == "5" else ()
    mosquitto(dev, "sub", *protocol, *session, *lasting, "-E")
    for payload in ("one", "two", "three"):
        mosquitto(dev, "pub", *protocol, "-t", topic, "-m", payload)
    assert mosquitto(dev, "sub", *protocol, *session, *lasting, "-C", "3") == "one\ntwo\nthree\n"


def test_mosquitto_is_told_why_a_reading_is_refused(dev: Dev) -> None:
    bad = ("-t", "trucks/x/reading", "-m", "no json", "-q", "1", "-V", "mqttv5", "-d")
    assert "RC:153" in mosquitto(dev, "pub", *bad, check=False)


# -- paho-mqtt


Heard = queue.Queue[Any]


@contextmanager
def paho_client(dev: Dev, name: str, version: int) -> Generator[tuple[paho.Client, Heard]]:
    """Run a client in its own thread; what it hears goes into a queue."""
    heard: Heard = queue.Queue()

    def connected(_c: Any, _u: Any, _f: Any, reason: Any, _p: Any) -> None:
        heard.put(("connected", str(reason)))

    def subscribed(_c: Any, _u: Any, _mid: int, reasons: Any, _p: Any) -> None:
        heard.put([reason.value for reason in reasons])

    def message(_c: Any, _u: Any, message: paho.MQTTMessage) -> None:
        heard.put((message.topic, message.payload, message.qos))

    client = paho.Client(CallbackAPIVersion.VERSION2, name, protocol=VERSIONS[version])
    client.on_connect, client.on_subscribe, client.on_message = connected, subscribed, message
    client.connect("127.0.0.1", dev.ready["mqtt"])
    client.loop_start()
    try:
        assert heard.get(timeout=PATIENCE) == ("connected", "Success")
        yield client, heard
    finally:
        client.disconnect()
        client.loop_stop()


@pytest.mark.parametrize("qos", [0, 1, 2])
@pytest.mark.parametrize("version", [4, 5])
def test_paho_publishes_and_hears(dev: Dev, version: int, qos: int) -> None:
    with paho_client(dev, f"paho-{version}-{qos}", version) as (client, heard):
        client.subscribe(f"paho/{version}/{qos}", qos)
        assert heard.get(timeout=PATIENCE) == [qos]
        for n in range(20):
            client.publish(f"paho/{version}/{qos}", b"%d" % n, qos).wait_for_publish(PATIENCE)
        came = [heard.get(timeout=PATIENCE) for _ in range(20)]
        assert came == [(f"paho/{version}/{qos}", b"%d" % n, qos) for n in range(20)]


# -- aiomqtt


@pytest.mark.parametrize("version", [4, 5])
async def test_aiomqtt_publishes_and_hears(dev: Dev, version: int) -> None:
    protocol = {4: aiomqtt.ProtocolVersion.V311, 5: aiomqtt.ProtocolVersion.V5}[version]
    async with (
        asyncio.timeout(PATIENCE),
        aiomqtt.Client("127.0.0.1", dev.ready["mqtt"], protocol=protocol) as client,
    ):
        await client.subscribe("trucks/aio/command", 1)
        await client.publish("trucks/aio/reading", '{"celsius": 3.5}', 2)
        message = await anext(aiter(client.messages))
        assert isinstance(message.payload, bytes)
        assert json.loads(message.payload) == {"who": "aio", "celsius": 3.5}


# -- MQTT.js

NODE = """
const [mqtt, url, version] = [require(process.argv[1]), process.argv[2], Number(process.argv[3])];
const client = mqtt.connect(url, {protocolVersion: version, reconnectPeriod: 0});
const heard = [];
client.on("error", error => { console.error(error); process.exit(1); });
client.on("message", (topic, payload, packet) => {
  heard.push([topic, payload.toString(), packet.qos]);
  if (heard.length == 3) client.end(false, {}, () => console.log(JSON.stringify(heard)));
});
client.subscribe("js/#", {qos: 2}, (error, granted) => {
  if (error || granted[0].qos != 2) { console.error(error, granted); process.exit(1); }
  for (const qos of [0, 1, 2]) client.publish("js/" + qos, "from js", {qos});
});
"""


@pytest.mark.parametrize("way", ["mqtt", "ws"])
@pytest.mark.parametrize("version", [4, 5])
def test_mqtt_js_publishes_and_hears(dev: Dev, mqtt_js: Path, version: int, way: str) -> None:
    url = {
        "mqtt": f"mqtt://127.0.0.1:{dev.ready['mqtt']}",
        "ws": f"ws://127.0.0.1:{dev.ready['http']}/mqtt",
    }[way]
    heard = json.loads(run("node", "-e", NODE, str(mqtt_js), url, str(version)))
    assert sorted(heard) == [[f"js/{qos}", "from js", qos] for qos in (0, 1, 2)]


# -- curl


def curl(*arguments: str) -> str:
    program = shutil.which("curl")
    if program is None:
        pytest.skip("needs the Debian package curl")
    return run(program, "--silent", "--show-error", "--max-time", str(int(PATIENCE)), *arguments)


def test_curl_gets_the_answer_of_a_function(dev: Dev) -> None:
    url = f"http://127.0.0.1:{dev.ready['http']}/trucks/curl"
    answer = curl("--json", '{"celsius": 4}', "--fail", url)
    assert json.loads(answer) == {"who": "curl", "celsius": 4.0}


def test_curl_is_told_why_a_reading_is_refused(dev: Dev) -> None:
    url = f"http://127.0.0.1:{dev.ready['http']}/trucks/curl"
    answer, _, status = curl("--json", "no json", "--write-out", "\n%{http_code}", url).rpartition("\n")
    assert status == "422"
    assert json.loads(answer)["status"] == 422


def test_curl_of_a_foreign_page_is_refused(dev: Dev) -> None:
    url = f"http://127.0.0.1:{dev.ready['http']}/trucks/curl"
    more = (
        "--header",
        "Origin: https://evil.example",
        "--output",
        "/dev/null",
        "--write-out",
        "%{http_code}",
    )
    assert curl("--json", '{"celsius": 4}', *more, url) == "403"


# -- libcoap's coap-client


def test_coap_client_gets_the_answer_of_a_function(dev: Dev) -> None:
    program = shutil.which("coap-client-notls") or shutil.which("coap-client")
    if program is None:
        pytest.skip("needs the Debian package libcoap3-bin")
    url = f"coap://127.0.0.1:{dev.ready['coap']}/meters/7"
    post = ("-m", "post", "-t", "json", "-e", '{"celsius": 7.5}')
    assert json.loads(run(program, *post, url)) == {"who": "7", "celsius": 7.5}


# -- a browser


OWN_PAGE = """<!doctype html><title>own</title>
<script src='SCRIPTS/mqtt.js'></script>
<script>
const url = 'ws://' + location.host + '/mqtt';
const client = mqtt.connect(url, {protocolVersion: 5, reconnectPeriod: 0});
const report = what => fetch('SCRIPTS/', {method: 'POST', mode: 'no-cors', body: JSON.stringify(what)});
client.on('error', error => report({error: String(error)}));
client.on('close', () => report({error: 'closed'}));
client.on('message', (topic, payload) => report({topic: topic, payload: JSON.parse(payload.toString())}));
client.subscribe('trucks/page/command', {qos: 1},
  () => client.publish('trucks/page/reading', JSON.stringify({celsius: 1.5}), {qos: 1}));
</script>
"""

FOREIGN_PAGE = """<!doctype html><title>foreign</title>
<script>
const report = what => fetch('/', {method: 'POST', body: JSON.stringify(what)});
const socket = new WebSocket('ws://NODE/mqtt', 'mqtt');
const socketed = new Promise(done => {
  socket.onopen = () => done('open');
  socket.onerror = () => done('refused');
});
const post = fetch('http://NODE/trucks/foreign',
  {method: 'POST', mode: 'no-cors', headers: {'content-type': 'text/plain'}, body: '{"celsius": 1}'});
const fetched = fetch('http://NODE/page').then(() => 'read', () => 'refused');
Promise.all([socketed, fetched, post.catch(() => 0)])
  .then(([socketed, fetched]) => report({socket: socketed, fetch: fetched}));
</script>
"""


def test_a_page_of_the_node_in_a_browser_publishes_and_hears(
    dev: Dev, site: Pages, mqtt_js: Path, tmp_path: Path
) -> None:
    site.pages["/mqtt.js"] = ("text/javascript", (mqtt_js / "dist" / "mqtt.min.js").read_bytes())
    with browsing(f"http://127.0.0.1:{dev.ready['http']}/page", tmp_path / "profile"):
        report = site.reports.get(timeout=PATIENCE)
    assert report == {"topic": "trucks/page/command", "payload": {"who": "page", "celsius": 1.5}}
    while not site.reports.empty():  # the browser's end closes its connection
        site.reports.get()


def test_a_foreign_page_in_a_browser_gets_nothing(dev: Dev, site: Pages, tmp_path: Path) -> None:
    node = f"127.0.0.1:{dev.ready['http']}"
    site.pages["/foreign"] = ("text/html", FOREIGN_PAGE.replace("NODE", node).encode())
    with (
        paho_client(dev, "watcher", 5) as (client, heard),
        browsing(f"{site.url}/foreign", tmp_path / "profile"),
    ):
        client.subscribe("trucks/foreign/command", 1)
        assert heard.get(timeout=PATIENCE) == [1]
        assert site.reports.get(timeout=PATIENCE) == {"socket": "refused", "fetch": "refused"}
        client.publish("trucks/foreign/command", b"nothing came before this", 1)
        assert heard.get(timeout=PATIENCE)[1] == b"nothing came before this"
