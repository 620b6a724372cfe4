import json

import msgspec
import pytest

from rimward.local.telling import JsonTeller, PeopleTeller, Ready

READY = Ready(1883, 8080, None, None, 8088, "/tmp/cold/.rimward", {"node": 7, "hub": None})
LINK = "http://127.0.0.1:8088/?token=abc"
SEND = """rimward send mqtt trucks/1/temperature '{"celsius": 3.7}'"""


def test_a_person_is_told_the_addresses_the_link_and_what_to_type_next(
    capsys: pytest.CaptureFixture[str],
) -> None:
    PeopleTeller().ready(READY, "cold", LINK, SEND)
    out, err = capsys.readouterr()
    assert not err
    assert out == (
        "cold runs\n"
        "  mqtt     127.0.0.1:1883\n"
        "  http     http://127.0.0.1:8080\n"
        f"  console  {LINK}\n"
        "  data     /tmp/cold/.rimward\n"
        "  logs     /tmp/cold/.rimward/logs\n"
        "in another terminal:\n"
        f"  {SEND}\n"
        "  rimward status\n"
        "  rimward ledger\n"
        "  rimward trace last\n"
        "save the app and it restarts; ctrl-C stops everything\n"
    )


def test_further_listeners_are_told_with_their_addresses(capsys: pytest.CaptureFixture[str]) -> None:
    ready = msgspec.structs.replace(READY, coap=5683, more={"mqtts": "0.0.0.0:8883", "coap": "[::]:5683"})
    PeopleTeller().ready(ready, "cold", None, None)
    JsonTeller().ready(ready, "cold", None, None)
    out, _ = capsys.readouterr()
    assert "  mqtts    0.0.0.0:8883\n  coap     [::]:5683\n" in out
    told = json.loads(out.splitlines()[-1])["ready"]
    assert (told["coap"], told["more"]["mqtts"]) == (5683, "0.0.0.0:8883")


def test_a_program_gets_one_line_and_what_people_read_is_beside_it(
    capsys: pytest.CaptureFixture[str],
) -> None:
    JsonTeller().ready(READY, "cold", LINK, SEND)
    out, err = capsys.readouterr()
    assert json.loads(out) == {
        "ready": {
            "mqtt": 1883, "http": 8080, "coap": None, "sip": None, "console": 8088,
            "data": "/tmp/cold/.rimward", "pids": {"node": 7, "hub": None},
        }
    }  # fmt: skip
    assert out.count("\n") == 1
    assert err == f"rimward dev: console: {LINK}\nrimward dev: try: {SEND}\n"


def test_what_there_is_not_is_not_told(capsys: pytest.CaptureFixture[str]) -> None:
    PeopleTeller().ready(READY, "cold", None, None)
    out, _ = capsys.readouterr()
    assert "console" not in out
    assert "send" not in out
    JsonTeller().ready(READY, "cold", None, None)
    assert not capsys.readouterr().err
