# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
# (nats and deltalake ship partial types)
"""A hub and nodes that joined it, as real processes: what gets in, what each may do, what a restart keeps."""

import asyncio
import contextlib
import http.client
import json
from collections.abc import Awaitable, Callable, Generator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import nats.errors
import nats.js.errors
import pytest
from deltalake import DeltaTable
from msgspec.structs import replace
from nats.aio.client import Client
from nats.js.api import StreamConfig

from rimward.edge.joining import IdentityFolder, JoinError
from rimward.edge.joining import join as join_here
from rimward.network.bus import connect
from rimward.network.config import BusAccess
from rimward.observe.life import halted
from rimward.wire.joining import JoinString

from .apart import Hub, Node, join
from .running import PATIENCE, until

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
    """The folders of a hub and of its nodes."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.app = root / "app.py"
        self.app.write_text(APP)
        self.hub = self.another_hub()

    def another_hub(self) -> Hub:
        return Hub(self.app, self.root / "hub")

    def access(self, name: str) -> BusAccess:
        """Return a node's way into the bus; one that has not joined yet joins."""
        folder = IdentityFolder(self.root / name)
        identity = folder.read() or join_here(self.hub.join_string(), name, self.root / name)
        assert identity.bus.startswith("tls://127.0.0.2:")
        return folder.access(identity)

    def rows(self) -> dict[str, set[int]]:
        """Return what the lake has, by node."""
        path = self.root / "hub" / "lake" / "counted"
        if not DeltaTable.is_deltatable(str(path)):
            return {}
        found: dict[str, set[int]] = {}
        for row in DeltaTable(str(path)).to_pyarrow_table(columns=["_node", "n"]).to_pylist():
            found.setdefault(row["_node"], set()).add(row["n"])
        return found


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> Place:
    return Place(tmp_path_factory.mktemp("apart"))


@pytest.fixture(scope="module")
def place(folders: Place) -> Generator[Place]:
    """A place whose hub runs, started again after the first test."""
    with folders.hub:
        yield folders


def send(node: Node, n: int) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", node.ready["http"], timeout=PATIENCE)
    connection.request("POST", "/count", json.dumps({"n": n}), {"content-type": "application/json"})
    assert connection.getresponse().status == 200
    connection.close()


def test_a_node_acts_without_its_hub_and_its_rows_come_when_that_is_back(folders: Place) -> None:
    with folders.another_hub() as hub:
        done = join(hub.join_string("--site", "harbour"), "a", folders.root / "a")
        assert done.returncode == 0, done.stderr
    with Node(folders.app, folders.root / "a") as node:
        send(node, 1)
        with folders.another_hub() as hub:  # on the same ports, and it knows the node
            until(lambda: folders.rows() == {"a": {1}}, "the row is in the lake")
            send(node, 2)
            until(lambda: folders.rows() == {"a": {1, 2}}, "the next one as well")
            listed = hub.json_lines("node", "list")
    assert [(one["name"], one["site"]) for one in listed] == [("a", "harbour")]


def test_a_string_opens_once_and_the_hub_behind_it_has_to_be_the_one_that_made_it(place: Place) -> None:
    folder, string = place.root / "b", place.hub.join_string()
    assert join_here(string, "b", folder).site == "local"
    with pytest.raises(JoinError, match=r"refuses \(used\)"):
        join_here(string, "c", place.root / "c")
    with pytest.raises(JoinError, match="is the node 'b' already"):
        join_here(string, "b", folder)
    (folder / "identity" / "node.json").unlink()  # the answer was lost
    assert join_here(string, "b", folder).name == "b"
    fresh = JoinString.decode(place.hub.join_string())
    with pytest.raises(JoinError, match=r"refuses \(taken\)"):
        join_here(fresh.encode(), "b", place.root / "c")
    with pytest.raises(JoinError, match="is not the hub that made the join string"):
        join_here(replace(fresh, authority="00" * 32).encode(), "c", place.root / "c")
    with pytest.raises(JoinError, match="neither TLS nor this machine"):
        join_here(replace(fresh, url="http://192.0.2.1:1", authority="").encode(), "c", place.root / "c")
    assert join_here(fresh.encode(), "e", place.root / "e").name == "e", "no refusal has burned it"


async def test_a_node_may_do_on_the_bus_what_is_its_own_and_nothing_else(place: Place) -> None:
    refused: asyncio.Queue[str] = asyncio.Queue()

    async def note(error: Exception) -> None:
        await refused.put(str(error).lower())

    access = await asyncio.to_thread(place.access, "a")
    client = await connect(access, inbox_prefix=b"_INBOX_a", error_cb=note)
    try:
        await _probe(client, refused)
    finally:
        await client.close()


async def _probe(client: Client, refused: asyncio.Queue[str]) -> None:
    js = client.jetstream(timeout=0.5)
    config = StreamConfig(name="MINE", subjects=["up.local.a.mine.>"])
    attempts: dict[str, Callable[[], Awaitable[object]]] = {
        "publish as another": lambda: client.publish("up.local.b.normal.1-00000001.counted", b""),
        "publish in another region": lambda: client.publish("up.eu.a.normal.1-00000001.counted", b""),
        "tell another its marks": lambda: client.publish("_INBOX_b.marks", b""),
        "tell facts": lambda: client.publish("facts.local.counted", b""),
        "acknowledge for ingest": lambda: client.publish("$JS.ACK.UP_NORMAL.ingest.1.1.1.1.1", b""),
        "read another's inbox": lambda: client.subscribe("_INBOX_b.>"),
        "read what begins with anything": lambda: client.subscribe("*.>"),
        "read other nodes' rows": lambda: client.subscribe("up.>"),
        "read all": lambda: client.subscribe(">"),
        "create a stream": lambda: js.add_stream(config),
        "create a consumer": lambda: js.pull_subscribe("up.local.a.>", stream="UP_NORMAL"),
        "read a stream": lambda: js.get_msg("UP_NORMAL", 1),
        "delete a stream": lambda: js.delete_stream("UP_NORMAL"),
        "reload the bus": lambda: client.publish("$SYS.REQ.SERVER.PING", b""),
    }
    for what, attempt in attempts.items():
        with contextlib.suppress(nats.errors.Error, nats.js.errors.Error, TimeoutError):
            await attempt()
        try:
            async with asyncio.timeout(PATIENCE):
                assert "permissions violation" in await refused.get(), what
        except TimeoutError:
            pytest.fail(f"{what} was allowed")
    await client.subscribe("_INBOX_a.>")
    await client.publish("up.local.a.hello", b"")
    await client.publish("last", b"")
    assert '"last"' in await refused.get(), "what is its own is allowed"


async def test_a_revoked_node_is_put_out_and_the_others_keep_their_connections(place: Place) -> None:
    put_out = asyncio.Event()

    async def closed() -> None:
        put_out.set()

    async def quiet(_: Exception) -> None:
        """What the bus says to one that it puts out."""

    gone = await connect(await asyncio.to_thread(place.access, "gone"), closed_cb=closed, error_cb=quiet)
    stays = await connect(await asyncio.to_thread(place.access, "stays"), error_cb=quiet)
    done = await asyncio.to_thread(place.hub.run, "hub", "revoke", "gone")
    assert done.returncode == 0, done.stderr
    await put_out.wait()
    await stays.flush()
    with pytest.raises(nats.errors.Error):
        await connect(await asyncio.to_thread(place.access, "gone"), error_cb=quiet)
    await stays.close()
    await gone.close()


@pytest.mark.parametrize(("kind", "hit"), [("hub", ("hub", "ingest")), ("bus", ("bus",))])
def test_a_fault_makes_a_process_of_the_hub_stand_still_and_is_over_by_itself(
    place: Place, kind: str, hit: tuple[str, ...]
) -> None:
    pids = place.hub.pids()

    def stand() -> set[str]:
        return {name for name, pid in pids.items() if pid is not None and halted(pid)}

    with ThreadPoolExecutor(1) as threads:
        done = threads.submit(place.hub.run, "fault", kind, "--for", "3s")
        until(lambda: stand() == set(hit), "they stand still")
        assert done.result().returncode == 0
    until(lambda: not stand(), "they go on")
    assert place.hub.pids() == pids, "nobody was started anew"
