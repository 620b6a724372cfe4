"""`rimward send` and simulated devices, beside a real dev."""

import json
import os
import shlex
import signal
from pathlib import Path

import pytest
from tests.e2e.running import Dev, until

from .commands import command, lines

pytestmark = pytest.mark.e2e


def test_a_message_that_is_taken_is_acknowledged_and_its_action_is_shown(beside: Path) -> None:
    done = command("send", "mqtt", "houses/7/air", '{"celsius": 1.5}', "--wait", "houses/7/heater", at=beside)
    assert (done.returncode, done.stderr) == (0, "")
    first, second = done.stdout.splitlines()
    assert first.startswith("acknowledged: PUBACK 0x00 success (")
    assert second.startswith('houses/7/heater {"on":true} (')


def test_programs_get_the_acknowledgement_and_what_came_as_json(beside: Path) -> None:
    asked = ("send", "mqtt", "houses/8/air", '{"celsius": 1.5}', "--wait", "houses/+/heater", "--json")
    answer, came = lines(command(*asked, at=beside))
    assert {key: answer[key] for key in ("topic", "qos", "code", "reason")} == {
        "topic": "houses/8/air", "qos": 1, "code": 0, "reason": "success"
    }  # fmt: skip
    assert (came["received"]["topic"], came["received"]["payload"]) == ("houses/8/heater", {"on": True})


def test_a_message_that_is_refused_says_why_and_is_a_failure(beside: Path) -> None:
    done = command("send", "mqtt", "houses/7/air", '{"celsius": "warm"}', at=beside)
    assert done.returncode == 1
    assert "refused: PUBACK 0x99 Expected `float`, got `str` - at `$.celsius` (" in done.stdout


def test_several_messages_are_counted(beside: Path) -> None:
    done = command("send", "mqtt", "houses/7/air", '{"celsius": 9}', "--count", "5", at=beside)
    assert done.stdout.splitlines()[-1] == "5 sent, 0 refused"
    quiet = command("send", "mqtt", "houses/7/air", "-", "--qos", "0", at=beside, given='{"celsius": 9}')
    assert quiet.stdout == "sent; QoS 0 has no acknowledgement\n"


def test_silence_on_the_topic_that_is_waited_for_is_a_failure(beside: Path) -> None:
    asked = ("send", "mqtt", "houses/7/air", '{"celsius": 9}', "--wait", "nobody/here", "--timeout", "0.2")
    done = command(*asked, at=beside)
    assert done.returncode == 1
    assert done.stderr == (
        "rimward send: nothing came on nobody/here within 0.2 s: rimward trace last shows what ran\n"
    )
    assert command(*asked, "--json", at=beside).stdout.endswith('{"received":null}\n')


def test_a_retained_message_comes_to_who_subscribes_later(beside: Path) -> None:
    assert command("send", "mqtt", "notes/1", "kept", "--retain", at=beside).returncode == 0
    done = command("send", "mqtt", "other", "x", "--wait", "notes/1", "--json", at=beside)
    assert lines(done)[-1]["received"]["payload"] == "kept"


def test_a_request_shows_status_and_body(beside: Path, tmp_path: Path) -> None:
    done = command("send", "http", "post", "/echo", '{"celsius": 20.5}', at=beside)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("HTTP 200 OK (")
    assert done.stdout.endswith(' ms)\n{"celsius":20.5}\n')
    (tmp_path / "picture").write_bytes(b"\x00\xff\x10")
    turned = command("send", "http", "POST", "/bytes", f"@{tmp_path / 'picture'}", at=beside)
    assert turned.stdout.endswith("\n3 bytes: 10ff00\n")


def test_a_refused_request_is_a_failure_with_its_reason(beside: Path) -> None:
    done = command("send", "http", "GET", "/nothing", "--json", at=beside)
    assert done.returncode == 1
    (answer,) = lines(done)
    assert (answer["status"], answer["body"]["detail"]) == (404, "there is nothing")
    assert answer["headers"]["content-type"] == "application/problem+json"


def test_a_message_on_a_websocket_shows_what_came_back(beside: Path) -> None:
    done = command("send", "ws", "/talk", '{"celsius": 20.5}', at=beside)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith('{"celsius":20.5} (')
    quiet = command("send", "ws", "/talk", '{"celsius": 0}', "--timeout", "0.2", at=beside)
    assert (quiet.returncode, quiet.stdout) == (0, "sent; nothing came back within 0.2 s\n")
    refused = command("send", "ws", "/talk", '{"celsius": "warm"}', "--json", at=beside)
    assert refused.returncode == 1
    assert lines(refused)[0]["received"]["code"] == "payload"
    nowhere = command("send", "ws", "/nowhere", "x", at=beside)
    assert (nowhere.returncode, nowhere.stdout) == (1, "")
    assert nowhere.stderr.startswith("rimward send: /nowhere opens no WebSocket: ")


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["mqtt", "a/+", "x"], "a topic name is empty or has a wildcard: name a topic as devices publish to"),
        (
            ["mqtt", "a", "@/no/file"],
            "/no/file can't be read (No such file or directory): name a file after the @",
        ),
        (["mqtt", "a", "x", "--port", "1"], "nobody answers at 127.0.0.1:1: "),
        (
            ["http", "GET", "/", "--port", "1"],
            "no answer from 127.0.0.1:1 (Connection refused): is rimward dev",
        ),
    ],
    ids=["topic", "file", "mqtt", "http"],
)
def test_what_can_not_be_sent_is_one_sentence(beside: Path, words: list[str], sentence: str) -> None:
    done = command("send", *words, at=beside)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith(f"rimward send: {sentence}")
    assert done.stderr.count("\n") == 1


def test_the_line_that_dev_shows_is_taken_as_it_stands(dev: Dev, beside: Path) -> None:
    shown = dev.data.with_suffix(".stderr").read_text()
    line = next(line for line in shown.splitlines() if line.startswith("rimward dev: try: "))
    words = shlex.split(line.removeprefix("rimward dev: try: "))
    assert words[:4] == ["rimward", "send", "mqtt", "houses/1/air"]
    assert json.loads(words[4]).keys() == {"celsius"}
    assert words[5:] == ["--data", str(dev.data)]
    assert command(*words[1:], at=beside).returncode == 0


def test_a_node_that_stands_still_is_not_called_ready_and_the_ledger_is_not_called_balanced(dev: Dev) -> None:
    assert dev.run("status").returncode == 0
    node = dev.pids()["node"]
    assert node is not None
    os.kill(node, signal.SIGSTOP)
    try:
        until(
            lambda: dev.json_lines_of_any("status")[0]["processes"]["node"]["state"] == "silent",
            "it is silent",
        )
        status, ledger = dev.run("status"), dev.run("ledger")
        assert status.returncode == 1
        assert "no sign of life for" in status.stdout
        assert "WRONG   The process node was made to stand still." in status.stdout
        assert ledger.returncode == 1
        assert "no sign of life for" in ledger.stdout
        assert "\nbalanced" not in ledger.stdout
    finally:
        os.kill(node, signal.SIGCONT)
    until(lambda: dev.run("status").returncode == 0, "it is well again")
    assert dev.run("ledger").returncode == 0


def test_simulated_devices_send_and_what_they_cause_is_in_the_ledger(dev: Dev) -> None:
    until(lambda: dev.json_lines("status")[0]["functions"]["heat"]["calls"] >= 8, "both devices have sent")
    assert dev.json_lines("status")[0]["processes"]["simulate"]["pid"] is not None


def test_the_boundary_uses_what_the_dev_has_recorded(dev: Dev, beside: Path) -> None:
    drawing = beside / "boundary.svg"
    done = command("boundary", "app.py", "--rate", "2", "--svg", str(drawing), at=beside)
    assert (done.returncode, done.stderr) == (0, "")
    assert "Frost  frost  any    normal    heat" in done.stdout
    assert (
        "warning: {house} of houses/{house}/air is what the sender writes, not who it is (heat)"
        in done.stdout
    )
    assert drawing.read_text().startswith("<svg ")
    (found,) = lines(command("boundary", "app.py", "--json", at=beside))
    assert found["crossing"][0]["table"] == "frost"
    assert found["basis"].startswith(("recorded: ", "at most, estimated"))
    other = beside / "other.py"
    other.write_text((beside / "app.py").read_text().replace("greenhouse", "another"))
    refused = command("boundary", "other.py", "--data", str(dev.data), at=beside)
    assert refused.returncode == 1
    assert "has no figures of another: run rimward dev there, or say --rate" in refused.stderr


def test_a_second_dev_in_the_same_folder_is_refused(dev: Dev, beside: Path) -> None:
    done = command("dev", "app.py", "--mqtt", "0", "--http", "0", "--console", "0", "--for", "1", at=beside)
    assert (done.returncode, done.stdout) == (1, "")
    assert f"{dev.data} is in use by process {dev.process.pid} (rimward dev): stop that one" in done.stderr
