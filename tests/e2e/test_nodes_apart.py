# pyright: reportUnknownMemberType=false
# (nats ships partial types)
"""A hub and nodes that joined it, as real processes: what gets in, what each may do, what a restart keeps."""

import json
from collections.abc import Awaitable, Callable, Generator
from pathlib import Path

import nats.errors
import nats.js.errors
import pytest
from nats.aio.client import Client
from nats.js.api import StreamConfig

from rimward.edge.joining import IdentityFolder
from rimward.network.bus import connect

from .apart import Hub, Node, join
from .running import until

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(180)]

APP = """\
from msgspec import Struct
from rimward import App, http

app = App("apart", compat="2026-11-01")


class Count(Struct):
    n: int


@app.fact
class Counted(Struct):
    n: int


@app.edge(http.post("/count"))
def count(given: Count) -> int:
    app.forward(Counted(given.n))
    return given.n
"""


class Place:
    """One hub's folder, and those of its nodes."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.app = root / "app.py"
        self.app.write_text(APP)

    def hub(self) -> Hub:
        return Hub(self.app, self.root / "hub")

    def node(self, name: str) -> Node:
        return Node(self.app, self.root / name)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Generator[Place]:
    """A place where `a` and `b` have joined; its hub does not run."""
    place = Place(tmp_path_factory.mktemp("apart"))
    with place.hub() as hub:
        for name in ("a", "b"):
            done = join(hub.join_string("--site", "harbour"), name, place.root / name)
            assert done.returncode == 0, done.stderr
    yield place


def rows(hub: Hub) -> dict[str, list[int]]:
    """Return what the lake has, by node."""
    done = hub.run("sql", "select _node, n from counted order by n", "--json")
    found: dict[str, list[int]] = {}
    for row in map(json.loads, done.stdout.splitlines()) if done.returncode == 0 else ():
        found.setdefault(row["_node"], []).append(row["n"])
    return found


def send(node: Node, n: int) -> None:
    done = node.run("send", "http", "POST", "/count", json.dumps({"n": n}))
    assert done.returncode == 0, done.stderr
    assert "200" in done.stdout


def test_nodes_act_without_a_hub_and_their_rows_come_when_it_is_back(place: Place) -> None:
    with place.node("a") as a, place.node("b") as b:
        send(a, 1)
        send(b, 2)
        with place.hub() as hub:
            until(lambda: rows(hub) == {"a": [1], "b": [2]}, "both nodes' rows are in the lake")
        with place.hub() as hub:  # enrolments are kept, on the same ports
            send(a, 3)
            until(lambda: rows(hub).get("a") == [1, 3], "a node finds its hub again")
            listed = hub.json_lines("node", "list")
            assert [(one["name"], one["site"]) for one in listed] == [("a", "harbour"), ("b", "harbour")]
            assert a.json_lines("status")[0]["uplink"]["connected"]


def test_a_string_is_refused_once_it_is_used_and_a_name_once_it_is_taken(place: Place) -> None:
    with place.hub() as hub:
        string = hub.join_string()
        taken = join(string, "a", place.root / "other")
        assert (taken.returncode, "taken" in taken.stderr) == (1, True), taken.stderr
        assert join(string, "c", place.root / "c").returncode == 0
        used = join(string, "d", place.root / "d")
        assert (used.returncode, "used" in used.stderr) == (1, True), used.stderr
        again = join(string, "c", place.root / "c")
        assert "is the node 'c' already" in again.stderr
        (place.root / "c" / "identity" / "node.json").unlink()  # the answer never came
        assert join(string, "c", place.root / "c").returncode == 0, "the same key is told the same"
        other = Hub(place.app, place.root / "hub2")
        with other:
            foreign = other.join_string()
        url = str(hub.ready["url"])
        wrong = _retold(foreign, url)
        refused = join(wrong, "e", place.root / "e")
        assert "is not the hub that made the join string" in refused.stderr
        assert not (place.root / "e" / "identity" / "node.json").exists()


def _retold(string: str, url: str) -> str:
    from msgspec.structs import replace

    from rimward.wire.joining import JoinString

    return replace(JoinString.decode(string), url=url).encode()


async def test_a_node_may_do_on_the_bus_what_is_its_own_and_nothing_else(place: Place) -> None:
    hub = place.hub()
    with hub:
        folder = IdentityFolder(place.root / "a")
        identity = folder.read()
        assert identity is not None
        assert identity.bus.startswith("tls://127.0.0.2:")
        refused: list[str] = []

        async def note(error: Exception) -> None:
            refused.append(str(error))

        client = await connect(folder.access(identity), inbox_prefix=b"_INBOX_a", error_cb=note)
        try:
            await _probe(client, refused)
        finally:
            await client.close()


async def _probe(client: Client, refused: list[str]) -> None:
    js = client.jetstream(timeout=0.5)
    config = StreamConfig(name="MINE", subjects=["up.local.a.mine.>"])
    attempts: dict[str, Callable[[], Awaitable[object]]] = {
        "publish as another": lambda: client.publish("up.local.b.normal.1-00000001.counted", b""),
        "publish in another region": lambda: client.publish("up.eu.a.normal.1-00000001.counted", b""),
        "tell another its marks": lambda: client.publish("_INBOX_b.marks", b""),
        "tell facts": lambda: client.publish("facts.local.counted", b""),
        "acknowledge for ingest": lambda: client.publish("$JS.ACK.UP_NORMAL.ingest.1.1.1.1.1", b""),
        "read another's inbox": lambda: client.subscribe("_INBOX_b.>"),
        "read everybody's inboxes": lambda: client.subscribe("_INBOX_*.>"),
        "read other nodes' rows": lambda: client.subscribe("up.>"),
        "read all": lambda: client.subscribe(">"),
        "create a stream": lambda: js.add_stream(config),
        "create a consumer": lambda: js.pull_subscribe("up.local.a.>", stream="UP_NORMAL"),
        "read a stream": lambda: js.get_msg("UP_NORMAL", 1),
        "delete a stream": lambda: js.delete_stream("UP_NORMAL"),
        "reload the bus": lambda: client.publish("$SYS.REQ.SERVER.PING", b""),
    }
    for what, attempt in attempts.items():
        before = len(refused)
        try:
            await attempt()
        except (nats.errors.Error, nats.js.errors.Error, TimeoutError):
            pass
        await client.flush()
        assert len(refused) > before, f"{what} was allowed"
    before = len(refused)
    await client.subscribe("_INBOX_a.>")
    await client.publish("up.local.a.hello", b"")
    await client.flush()
    assert len(refused) == before, "its own is allowed"


def test_a_revoked_node_is_put_out_and_the_others_stay(place: Place) -> None:
    with place.hub() as hub:
        joined = join(hub.join_string(), "gone", place.root / "gone")
        assert joined.returncode == 0, joined.stderr
        with place.node("gone") as gone, place.node("b") as b:
            send(gone, 10)
            send(b, 11)
            until(lambda: {"gone"} <= set(rows(hub)) and 11 in rows(hub).get("b", []), "both are in")
            before = b.json_lines("status")[0]["uplink"]["errors"]
            assert hub.run("hub", "revoke", "gone").returncode == 0
            until(lambda: not gone.json_lines_of_any("status")[0]["uplink"]["connected"], "it is put out")
            send(gone, 12)
            send(b, 13)
            until(lambda: 13 in rows(hub)["b"], "the other one goes on")
            assert b.json_lines("status")[0]["uplink"]["errors"] == before, "on the same connection"
            assert rows(hub)["gone"] == [10]
