"""What rules leave to the sender."""

import pytest

from rimward import App, Device, http, mqtt
from rimward.edge.access.file import parse
from rimward.edge.access.unbound import loose_captures
from rimward.local.boundary import boundary

app = App("unbound", compat="2026-11-01")


@app.edge(mqtt("trucks/{truck}/temperature"))
def temperature(truck: str, payload: bytes) -> None:
    del truck, payload


@app.edge(mqtt("files/{rest...}"))
def file(rest: str, payload: bytes) -> None:
    del rest, payload


@app.edge(mqtt("seen/{by}"))
def seen(by: str, device: Device, payload: bytes) -> None:
    del by, device, payload


@app.edge(http.get("/trucks/{truck}"))
def look(truck: str) -> str:
    return truck


@pytest.mark.parametrize(
    ("rule", "paths"),
    [
        ('publish = ["#"]', ["trucks/{truck}/temperature", "files/{rest...}", "seen/{by}"]),
        ('publish = ["trucks/+/temperature"]', ["trucks/{truck}/temperature"]),
        ('publish = ["trucks/#"]', ["trucks/{truck}/temperature"]),
        ('publish = ["+/+/+"]', ["trucks/{truck}/temperature", "files/{rest...}"]),
        ('publish = ["files/+/a"]', ["files/{rest...}"]),
        ('publish = ["files/{client}/#"]', []),
        ('publish = ["trucks/{client}/#", "trucks/truck-7/temperature"]', []),
        ('publish = ["trucks/+/humidity", "boats/#"]', []),
        ('subscribe = ["#"]', []),
        ('request = ["GET /trucks/+"]', ["/trucks/{truck}"]),
        ('request = ["* /#"]', ["/trucks/{truck}"]),
        ('request = ["HEAD /trucks/+"]', ["/trucks/{truck}"]),
        ('request = ["POST /trucks/+", "GET /trucks/{user}"]', []),
        ("own = true", []),
    ],
)
def test_captures_that_a_rule_leaves_open_are_found(rule: str, paths: list[str]) -> None:
    file = parse(f"[[rule]]\n{rule}\n", "access.toml")
    assert [one.path for one in loose_captures(file, app.manifest().functions)] == paths


def test_the_boundary_names_the_rule_and_leaves_out_who_can_compare() -> None:
    access = parse('[[rule]]\nown = true\n[[rule]]\npublish = ["+/#"]\n', "access.toml")
    found = boundary(app.manifest(), rate=1.0, devices=1, access=access).unbound
    assert [(one.path, one.rules) for one in found] == [
        ("trucks/{truck}/temperature", ("rule[1].publish[0] +/#",)),
        ("files/{rest...}", ("rule[1].publish[0] +/#",)),
    ]


def test_without_rules_everything_is_bound() -> None:
    assert boundary(app.manifest(), rate=1.0, devices=1, access=parse("", "access.toml")).unbound == ()
    assert len(boundary(app.manifest(), rate=1.0, devices=1).unbound) == 3
