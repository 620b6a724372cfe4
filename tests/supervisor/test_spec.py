from typing import Any

import pytest

from rimward_supervisor.listeners import TCP, UDP, UNIX, Address
from rimward_supervisor.spec import SpecError, parse


def spec(**more: Any) -> dict[str, Any]:
    return {"logs": "logs", "state": "state", "processes": [{"name": "a", "argv": ["true"]}], **more}


def test_templates_name_listeners_ports_and_the_ready_descriptor() -> None:
    argv = ["serve", "--fd", "mqtt={fd:mqtt}", "--at={port:http}", "{ready}", "{other}"]
    listeners = {"mqtt": ["127.0.0.1", 0], "http": ["127.0.0.1", 80]}
    (process,) = parse(spec(listeners=listeners, processes=[{"name": "a", "argv": argv}])).processes
    filled = process.command({"mqtt": 7}, {"mqtt": 1883, "http": 8080}, 9)
    assert filled == ["serve", "--fd", "mqtt=7", "--at=8080", "9", "{other}"]
    assert process.tells
    assert process.listens_on == {"mqtt"}


def test_a_listener_is_tcp_udp_or_a_unix_socket() -> None:
    listeners = {
        "mqtt": ["127.0.0.1", 1883],
        "coap": {"udp": ["::1", 5683]},
        "coap-tcp": {"tcp": ["::1", 0], "beside": "coap"},
        "local": {"unix": "/run/s", "mode": 0o660},
        "own": {"unix": "/run/t"},
    }
    assert parse(spec(listeners=listeners)).listeners == {
        "mqtt": Address(TCP, "127.0.0.1", 1883),
        "coap": Address(UDP, "::1", 5683),
        "coap-tcp": Address(TCP, "::1", 0, beside="coap"),
        "local": Address(UNIX, path="/run/s", mode=0o660),
        "own": Address(UNIX, path="/run/t", mode=0o600),
    }


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ([], "spec: an object is needed"),
        (spec(port=1), "spec: unknown key 'port'"),
        ({"processes": []}, "logs: a path is needed"),
        (spec(processes={}), "processes: a list is needed"),
        (spec(processes=[{"name": "a"}]), "processes[0].argv: a list is needed"),
        (spec(processes=[{"name": "a", "argv": []}]), "processes[0].argv: a list of at least one text"),
        (spec(processes=[{"name": "a/b", "argv": ["x"]}]), "processes[0].name: letters"),
        (spec(processes=[{"name": "a", "argv": ["x"], "if": 1}]), "processes[0]: unknown key 'if'"),
        (spec(processes=[{"name": "a", "argv": ["{fd:mqtt}"]}]), "there is no listener 'mqtt'"),
        (spec(processes=[{"name": "a", "argv": ["x"]}] * 2), "a name is used twice"),
        (spec(listeners={"mqtt": 1883}), "listeners.mqtt: [host, port] is needed, not 1883"),
        (spec(listeners={"coap": {"udp": 5683}}), "listeners.coap.udp: [host, port] is needed, not 5683"),
        (
            spec(listeners={"s": {"unix": ""}}),
            'listeners.s: {"udp": [host, port]}, {"tcp": [host, port], "beside": name} or {"unix": path} is',
        ),
        (
            spec(listeners={"t": {"tcp": ["::1", 0], "beside": "u"}, "u": {"udp": ["::1", 0]}}),
            "listeners.t.beside: 'u' is no earlier listener with a port",
        ),
        (spec(listeners={"s": {"unix": "/s", "mode": 512}}), "listeners.s: "),
        (
            spec(listeners={"s": {"unix": "/s"}}, processes=[{"name": "a", "argv": ["{fd:s}", "{port:s}"]}]),
            "'s' is a Unix socket, which has no port",
        ),
        (
            spec(processes=[{"name": "a", "argv": ["x"], "connect": "x"}]),
            "processes[0].connect: [host, port]",
        ),
    ],
)
def test_a_mistake_in_the_file_is_named_by_its_key(wrong: Any, message: str) -> None:
    with pytest.raises(SpecError) as error:
        parse(wrong)
    assert message in str(error.value)
