"""What a hub's and a node's machine are told to run: from flags, a TOML and who the node is."""

import json
import stat
from pathlib import Path
from typing import Any

import msgspec
import pytest

from rimward.app.manifest import Manifest
from rimward.cloud.config import HubConfig
from rimward.cloud.control.config import ControlConfig
from rimward.edge.config import NodeConfig
from rimward.edge.deep.config import DeepConfig
from rimward.edge.joining import Identity, IdentityFolder
from rimward.local.errors import DevError
from rimward.local.folder import DataFolder
from rimward.local.hubplan import HubPlan
from rimward.local.nodeplan import NodePlan
from rimward.local.options import HubOptions, NodeOptions
from rimward.local.settings import Settings
from rimward.network.secretfile import write_secret
from rimward_supervisor.spec import Spec, parse

MANIFEST = Manifest("x", "2026-11-01", "app.py", "feed", (), ())
JOINED = Identity("truck-7", "harbour", "eu", "tls://hub.example:4222", tls_first=True)
BUS = '[bus]\nurl = "tls://nats.example:4222"\ncredentials = "bus.key"\n'


def joined(root: Path) -> None:
    folder = IdentityFolder(root)
    folder.root.mkdir(parents=True)
    write_secret(folder.root / "node.json", msgspec.json.encode(JOINED))
    write_secret(folder.authority, b"pem")


def node_plan(root: Path, toml: str = "", rate: str | None = None) -> NodePlan:
    folder = DataFolder(root)
    folder.prepare()
    config = None
    if toml:
        config = root / "node.toml"
        config.write_text(toml)
    options = NodeOptions("app.py", root, mqtt=0, http=0, config=config, uplink_rate=rate)
    plan = NodePlan(folder, options, MANIFEST)
    plan.write()
    return plan


def written(root: Path) -> tuple[NodeConfig, DeepConfig]:
    run = root / "run"
    node = msgspec.json.decode((run / "node.json").read_bytes(), type=NodeConfig)
    return node, msgspec.json.decode((run / "deep.json").read_bytes(), type=DeepConfig)


def test_a_joined_node_runs_as_the_hub_named_it(tmp_path: Path) -> None:
    joined(tmp_path)
    plan = node_plan(tmp_path, rate="64kbit/s")
    node, deep = written(tmp_path)
    assert (node.node, node.site, node.region) == (deep.node, deep.site, deep.region) == (
        "truck-7", "harbour", "eu"
    )  # fmt: skip
    assert (deep.bus_url, deep.tls_first, deep.uplink.rate) == (JOINED.bus, True, "64kbit/s")
    assert Path(deep.credentials) == tmp_path / "identity" / "node.key"
    assert Path(deep.ca) == tmp_path / "identity" / "authority.pem"
    spec = parse(json.loads(plan.write_spec({"mqtt": 4711}).read_bytes()))
    assert [process.name for process in spec.processes] == ["deep", "zygote", "node"]
    assert spec.listeners["mqtt"].port == 4711
    assert spec.faults == str(tmp_path / "node" / "faults.json"), "rimward fault works here"


def test_the_toml_says_what_the_processes_may(tmp_path: Path) -> None:
    joined(tmp_path)
    node_plan(tmp_path, "[outbox]\nmax_bytes = 4096\n[limits]\nconnections = 7\n[uplink]\nrate = '2Mbit/s'\n")
    node, deep = written(tmp_path)
    assert (node.outbox.max_bytes, node.limits.connections, deep.uplink.rate) == (4096, 7, "2Mbit/s")


@pytest.mark.parametrize(
    ("toml", "says"),
    [
        ("[outbox]\nmax_byte = 1\n", r"unknown field `max_byte` - at `\$\.outbox`"),
        ("[uplink]\nrat = '1bit/s'\n", r"unknown field `rat` - at `\$\.uplink`"),
        ("[uplink]\nrate = 'fast'\n", "rate is 'fast', it must be like 64kbit/s"),
        ("[limits]\nconnections = 'all'\n", r"Expected `int`, got `str` - at `\$\.limits\.connections`"),
        ("app = 'other.py'\n", "app is not set here"),
        ("name = 'other'\n", "the hub said who this node is: leave name out"),
        ("[bus]\nurl = 1\n", r"in \[bus\]: Expected `str`, got `int` - at `\$\.url`"),
        ("[bus]\nurl = 'nats://h:1'\npassword = 'x'\n", r"in \[bus\]: .*unknown field `password`"),
        ("not toml", "is no TOML"),
    ],
)
def test_what_a_toml_may_not_say_is_refused_with_its_place(toml: str, says: str, tmp_path: Path) -> None:
    joined(tmp_path)
    with pytest.raises(DevError, match=says):
        node_plan(tmp_path, toml)


def test_a_bus_of_somebody_elses_needs_no_hub_that_knows_the_node(tmp_path: Path) -> None:
    node_plan(tmp_path, f"name = 'truck-9'\nsite = 'yard'\n{BUS}")
    node, deep = written(tmp_path)
    assert (node.node, deep.site, deep.bus_url) == ("truck-9", "yard", "tls://nats.example:4222")
    assert (Path(deep.credentials), deep.ca) == (tmp_path / "bus.key", "")


@pytest.mark.parametrize("name", ["hub", "Truck", "a.b", ""])
def test_a_name_that_is_none_for_a_node_is_refused_where_no_hub_said_it(name: str, tmp_path: Path) -> None:
    with pytest.raises(DevError, match="a node's name is 1 to 32 of a-z, 0-9 and -, and not 'hub'"):
        node_plan(tmp_path, f"name = '{name}'\n{BUS}")


@pytest.mark.parametrize("toml", ["", "name = 'truck-9'\n", BUS])
def test_a_machine_that_is_no_node_is_told_how_to_become_one(toml: str, tmp_path: Path) -> None:
    with pytest.raises(DevError, match="rimward node join --name NAME makes it one"):
        node_plan(tmp_path, toml)


def hub_plan(root: Path, toml: str = "", **options: Any) -> tuple[HubPlan, Spec]:
    folder = DataFolder(root)
    folder.prepare()
    config = None
    if toml:
        config = root / "hub.toml"
        config.write_text(toml)
    plan = HubPlan(folder, HubOptions(data=root, config=config, **options), "/bin/nats-server")
    plan.write(MANIFEST)
    return plan, parse(json.loads(plan.write_spec({}).read_bytes()))


def configured(root: Path) -> tuple[HubConfig, ControlConfig]:
    run = root / "run"
    hub = msgspec.json.decode((run / "hub.json").read_bytes(), type=HubConfig)
    return hub, msgspec.json.decode((run / "control.json").read_bytes(), type=ControlConfig)


def test_a_hub_for_this_machine_alone_speaks_in_the_clear(tmp_path: Path) -> None:
    plan, spec = hub_plan(tmp_path)
    hub, control = configured(tmp_path)
    assert [process.name for process in spec.processes] == ["bus", "hub", "ingest", "enrol"] == plan.names[:4]
    assert spec.faults == str(tmp_path / "node" / "faults.json"), "rimward fault works here"
    assert (hub.bus_url, hub.ca, control.certificate) == ("nats://127.0.0.1:4222", "", "")
    conf = json.loads((tmp_path / "run" / "bus.conf").read_text())
    assert (conf["host"], "tls" in conf, conf["jetstream"]["sync_interval"]) == ("127.0.0.1", False, "always")
    assert plan.address(8422).url == "http://127.0.0.1:8422"


def test_a_hub_for_others_speaks_tls_alone_and_keeps_its_authority(tmp_path: Path) -> None:
    plan, _ = hub_plan(tmp_path, host="0.0.0.0", advertise="hub.example")
    hub, control = configured(tmp_path)
    assert (hub.bus_url, control.bus) == ("tls://127.0.0.1:4222", "tls://hub.example:4222")
    assert hub.tls_first
    assert control.tls_first
    conf = json.loads((tmp_path / "run" / "bus.conf").read_text())
    assert conf["tls"]["handshake_first"]
    address = plan.address(8422)
    assert address.url == "https://hub.example:8422"
    again, _ = hub_plan(tmp_path, host="0.0.0.0", advertise="hub.example")
    assert again.address(8422).authority == address.authority != ""
    secret = [path for path in (tmp_path / "hub").iterdir() if path.suffix in {".key", ".pem", ".db"}]
    assert len(secret) >= 5
    assert all(stat.S_IMODE(path.stat().st_mode) & 0o077 == 0 for path in secret)


def test_a_hubs_toml_says_how_many_processes_take_rows(tmp_path: Path) -> None:
    plan, spec = hub_plan(tmp_path, "ingest_processes = 2\n")
    assert [process.name for process in spec.processes] == plan.names
    assert plan.names == ["bus", "hub", "ingest", "ingest-2", "enrol"]
    assert configured(tmp_path)[0].ingest_processes == 2


def test_ports_that_were_picked_are_picked_again(tmp_path: Path) -> None:
    plan, _ = hub_plan(tmp_path, port=0, bus_port=0)
    first = plan.address(4712)
    _, spec = hub_plan(tmp_path, port=0, bus_port=0)
    assert spec.listeners["enrol"].port == 4712
    assert spec.processes[0].connect == ("127.0.0.1", first.bus_port)


def test_a_hub_on_somebody_elses_bus_runs_none(tmp_path: Path) -> None:
    _, spec = hub_plan(tmp_path, f"gather = 0.5\n{BUS}")
    hub, control = configured(tmp_path)
    assert [process.name for process in spec.processes] == ["hub", "ingest", "enrol"]
    assert (hub.bus_url, hub.gather) == ("tls://nats.example:4222", 0.5)
    assert Path(hub.credentials) == tmp_path / "bus.key"
    assert control.own is None


@pytest.mark.parametrize(
    ("toml", "says"),
    [
        ("ingest_processes = 17\n", "Expected `int` <= 16"),
        ("gathr = 1\n", "unknown field `gathr`"),
        ("data = '/'\n", "data is not set here"),
        ("user = 'root'\n", "user is not set here"),
    ],
)
def test_what_a_hubs_toml_may_not_say_is_refused(toml: str, says: str, tmp_path: Path) -> None:
    with pytest.raises(DevError, match=says):
        hub_plan(tmp_path, toml)


def test_settings_that_are_not_there_are_named(tmp_path: Path) -> None:
    with pytest.raises(DevError, match=r"no\.toml can't be read \(No such file"):
        Settings(tmp_path / "no.toml")
