import json
from pathlib import Path

import msgspec
import pytest

from rimward.app.manifest import Manifest, decode
from rimward.cloud.config import HubConfig
from rimward.cloud.config import read as read_hub
from rimward.edge.config import NodeConfig
from rimward.edge.deep.config import DeepConfig
from rimward.edge.functions.config import BASICS
from rimward.local.folder import DataFolder
from rimward.local.listeners import HOST, listeners_of
from rimward.local.listeners import spec_of as listener_of
from rimward.local.options import DevOptions
from rimward.local.plan import Extras, Plan
from rimward.local.workers import socket_path
from rimward_supervisor.listeners import TCP, UNIX, Address
from rimward_supervisor.spec import Spec, parse

ALL = Extras(bus="/bin/nats-server", cloud=True, console=True)
ALONE = Extras(bus=None, cloud=False, console=False)
MANIFEST = Manifest("x", "2026-11-01", "app.py", "feed", (), ())


def planned(
    root: Path, extras: Extras, replay: str | None = None, *, events: bool = False
) -> tuple[DataFolder, Plan]:
    folder = DataFolder(root)
    folder.prepare()
    options = DevOptions(
        app="app.py", data=root, mqtt=0, http=8080, replay=replay, speed="max", events=events
    )
    plan = Plan(folder, options, extras)
    plan.write(MANIFEST)
    return folder, plan


def spec_of(plan: Plan, ports: dict[str, int]) -> Spec:
    return parse(json.loads(plan.write_spec(ports).read_bytes()))


def test_with_the_cloud_extra_everything_is_started_and_the_node_stops_first(tmp_path: Path) -> None:
    folder, plan = planned(tmp_path, ALL)
    spec = spec_of(plan, {})
    names = [process.name for process in spec.processes]
    assert names == ["bus", "hub", "ingest", "deep", "zygote", "node"]
    assert plan.names == [name for name in names if name != "zygote"]  # nobody waits for it
    assert [process.name for process in spec.processes if not process.background] == ["zygote", "node"]
    workers = Address(UNIX, path=str(socket_path(folder)), mode=0o600)
    assert spec.listeners == {
        "mqtt": Address(TCP, HOST, 0), "http": Address(TCP, HOST, 8080), "workers": workers
    }  # fmt: skip
    hub = msgspec.json.decode((folder.run / "hub.json").read_bytes(), type=HubConfig)
    deep = msgspec.json.decode((folder.run / "deep.json").read_bytes(), type=DeepConfig)
    node = msgspec.json.decode((folder.run / "node.json").read_bytes(), type=NodeConfig)
    assert hub.bus_url == deep.bus_url
    assert (hub.user, hub.password) != (deep.user, deep.password)
    assert (node.digest, node.app) == ("feed", str(Path("app.py").absolute()))
    assert decode(folder.manifest.read_bytes()) == MANIFEST


def test_a_hub_of_several_processes_of_ingest_gives_each_a_share_and_a_name(tmp_path: Path) -> None:
    folder = DataFolder(tmp_path)
    folder.prepare()
    plan = Plan(folder, DevOptions(app="app.py", data=tmp_path, ingest_processes=3), ALL)
    plan.write(MANIFEST)
    spec = spec_of(plan, {})
    assert [process.name for process in spec.processes if process.name != "zygote"] == plan.names
    shares = {
        one.name: one.argv[one.argv.index("--share") + 1] for one in spec.processes if "--share" in one.argv
    }
    assert shares == {"ingest": "0", "ingest-2": "1", "ingest-3": "2"}
    assert read_hub(folder.run / "hub.json").ingest_processes == 3


def test_events_are_for_those_who_ask_and_their_reader_has_a_password_of_its_own(tmp_path: Path) -> None:
    folder, _ = planned(tmp_path, ALL, events=True)
    hub = msgspec.json.decode((folder.run / "hub.json").read_bytes(), type=HubConfig)
    reader = json.loads(folder.events.read_bytes())
    assert hub.events
    assert (reader["url"], reader["user"]) == (hub.bus_url, "events")
    assert reader["password"] != hub.password
    assert folder.events.stat().st_mode & 0o077 == 0
    planned(tmp_path, ALL)
    hub = msgspec.json.decode((folder.run / "hub.json").read_bytes(), type=HubConfig)
    assert not hub.events
    assert not folder.events.exists(), "a password that no bus knows any more"


def test_without_it_the_node_is_alone(tmp_path: Path) -> None:
    _, plan = planned(tmp_path, ALONE)
    assert [process.name for process in spec_of(plan, {}).processes] == ["zygote", "node"]
    assert plan.names == ["node"]


def test_secrets_are_the_owners_alone(tmp_path: Path) -> None:
    folder, plan = planned(tmp_path, ALL)
    plan.write_spec({})
    assert all(path.stat().st_mode & 0o077 == 0 for path in folder.run.iterdir())


def test_only_the_node_is_given_the_listeners(tmp_path: Path) -> None:
    _, plan = planned(tmp_path, ALL, replay="walk.jsonl")
    given = {process.name: process.listens_on for process in spec_of(plan, {}).processes}
    assert given == {
        "bus": set(), "hub": set(), "ingest": set(), "deep": set(), "zygote": set(),
        "node": {"mqtt", "http", "workers"}, "replay": set(),
    }  # fmt: skip


def test_the_zygote_gets_next_to_nothing_of_the_environment(tmp_path: Path) -> None:
    _, plan = planned(tmp_path, ALONE)
    [zygote] = [one for one in spec_of(plan, {}).processes if one.name == "zygote"]
    assert zygote.keeps is not None
    assert set(zygote.keeps) == set(BASICS)


def test_a_socket_whose_path_would_be_too_long_lies_elsewhere(tmp_path: Path) -> None:
    near, far = DataFolder(tmp_path), DataFolder(tmp_path / ("long" * 30))
    assert len(str(socket_path(far))) < 108
    assert socket_path(far) != socket_path(near)
    assert socket_path(DataFolder(Path("/d"))) == Path("/d/run/workers.sock")


def test_without_a_host_nothing_but_loopback_is_listened_on(tmp_path: Path) -> None:
    options = DevOptions("app.py", tmp_path)
    listeners = listeners_of(options, coap=True)
    assert {name: one.address for name, one in listeners.items()} == {
        "mqtt": "127.0.0.1:1883", "http": "127.0.0.1:8080", "coap": "127.0.0.1:5683",
        "coap-tcp": "127.0.0.1:5683",
    }  # fmt: skip
    assert set(listeners_of(options, coap=False)) == {"mqtt", "http"}


@pytest.mark.parametrize(
    ("host", "plain", "further"),
    [
        ("0.0.0.0", "0.0.0.0:1883", {}),
        ("::", "[::]:1883", {}),
        (
            "192.0.2.5",
            "127.0.0.1:1883",
            {"mqtt-network": "192.0.2.5:1883", "http-network": "192.0.2.5:8080"},
        ),
    ],
)
def test_a_host_is_listened_on_and_loopback_is_not_lost(
    host: str, plain: str, further: dict[str, str], tmp_path: Path
) -> None:
    listeners = listeners_of(DevOptions("app.py", tmp_path, host=host), coap=False)
    assert listeners.pop("mqtt").address == plain
    assert listeners.pop("http").address.endswith(":8080")
    assert {name: one.address for name, one in listeners.items()} == further


def test_with_a_certificate_others_get_in_by_tls_alone(tmp_path: Path) -> None:
    pem = Path("node.pem")
    options = DevOptions("app.py", tmp_path, host="0.0.0.0", tls_cert=pem, tls_key=pem)
    listeners = listeners_of(options, coap=True)
    assert {name: one.address for name, one in listeners.items()} == {
        "mqtt": "127.0.0.1:1883",
        "http": "127.0.0.1:8080",
        "mqtts": "0.0.0.0:8883",
        "https": "0.0.0.0:8443",
        "coap": "0.0.0.0:5683",
        "coap-tcp": "127.0.0.1:5683",
    }
    assert {name for name, one in listeners.items() if one.tls is not None} == {"mqtts", "https"}
    assert listener_of("coap", listeners["coap"], None) == {"udp": ["0.0.0.0", 5683]}
    assert listener_of("coap-tcp", listeners["coap-tcp"], None) == {
        "tcp": ["127.0.0.1", 5683], "beside": "coap"
    }  # fmt: skip


def test_the_node_is_told_who_says_who_may_come_in(tmp_path: Path) -> None:
    folder = DataFolder(tmp_path)
    folder.prepare()
    Plan(folder, DevOptions("app.py", tmp_path, access=Path("access.toml")), ALONE).write(MANIFEST)
    node = msgspec.json.decode((folder.run / "node.json").read_bytes(), type=NodeConfig)
    assert (node.access, node.anonymous) == (str(Path("access.toml").absolute()), False)
    assert node.listeners["mqtt"].address == "127.0.0.1:1883"


def test_ports_that_were_given_out_are_kept(tmp_path: Path) -> None:
    _, plan = planned(tmp_path, ALL)
    assert spec_of(plan, {"mqtt": 4711}).listeners["mqtt"] == Address(TCP, HOST, 4711)


def test_a_replay_waits_for_its_command_and_plays_once(tmp_path: Path) -> None:
    _, plan = planned(tmp_path, ALONE, replay="walk.jsonl")
    replay = spec_of(plan, {}).processes[-1]
    assert (replay.name, replay.once, replay.waits) == ("replay", True, True)
    assert replay.command({}, {"mqtt": 4711}, None)[2:] == [
        "rimward.devices.replay", "walk.jsonl", "--port", "4711", "--speed", "max"
    ]  # fmt: skip


def test_simulated_devices_are_made_from_the_manifest_when_the_node_serves(tmp_path: Path) -> None:
    folder = DataFolder(tmp_path)
    folder.prepare()
    options = DevOptions(app="app.py", data=tmp_path, mqtt=0, http=0, simulate=3, seed=5)
    plan = Plan(folder, options, ALONE)
    plan.write(MANIFEST)
    simulate = spec_of(plan, {}).processes[-1]
    assert plan.devices == [simulate.name] == ["simulate"]
    assert (simulate.once, simulate.waits) == (True, True)
    assert simulate.command({}, {"mqtt": 4711}, None)[2:] == [
        "rimward.devices.simulate", str(folder.manifest), "3", "--port", "4711", "--seed", "5"
    ]  # fmt: skip


def test_a_save_changes_the_nodes_digest_and_nothing_else(tmp_path: Path) -> None:
    folder, plan = planned(tmp_path, ALL)
    before = {path.name: path.read_bytes() for path in folder.run.iterdir()}
    plan.refresh(msgspec.structs.replace(MANIFEST, digest="beef"))
    after = {path.name: path.read_bytes() for path in folder.run.iterdir()}
    assert {name for name in after if after[name] != before[name]} == {"node.json", "manifest.json"}
