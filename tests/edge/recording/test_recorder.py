"""A recording has what came in and what was made of it; what a label or a credential covers is not in it."""

from pathlib import Path
from typing import Any

import pytest
from msgspec import Struct
from tests.testing.taping import Taped, taped

from rimward import App, Device, State, http, mqtt
from rimward.edge.recording.wish import RecordingConfig
from rimward.testing import Properties, Site
from rimward.wire.recording import (
    Action,
    Answered,
    Asked,
    Begun,
    Body,
    Clock,
    Command,
    Ended,
    Kept,
    Line,
    Message,
    Stored,
)

app = App("clinic", compat="2026-11-01")


class Pulse(Struct):
    beats: int
    patient: str = ""


@app.fact(locality="eu")
class Alarm(Struct):
    bed: str
    patient: str


@app.fact
class Seen(Struct):
    bed: str


@app.state(key="bed")
class Bed(Struct):
    patient: str = ""


@app.edge(mqtt("beds/{bed}/pulse"))
def watch(bed: str, pulse: Pulse, state: State[Bed]) -> None:
    state.value.patient = pulse.patient
    app.publish(f"beds/{bed}/lamp", {"patient": pulse.patient})
    app.forward(Alarm(bed, pulse.patient))


@app.edge(http.get("/beds/{bed}"))
def bed(state: State[Bed]) -> Bed:
    return state.value


@app.edge(mqtt("doors/{door}"))
def door(door: str, pulse: Pulse) -> None:
    app.publish(f"doors/{door}/seen", {"beats": pulse.beats, "at": app.now()})
    app.forward(Seen(door))


@app.edge(mqtt("locks/{lock}"))
async def lock(lock: str, device: Device, pulse: Pulse) -> None:
    await device.command("open", {"beats": pulse.beats}, timeout="5s")
    app.publish(f"locks/{lock}/state", "open")


@app.edge(http.get("/plain"))
def plain() -> dict[str, int]:
    return {"beds": 1}


def hide(fact: Struct) -> None:
    app.forward(fact)


@app.edge(mqtt("quiet/{bed}"))
def quiet(bed: str, pulse: Pulse) -> None:
    """Forward a fact that the code of the function does not name."""
    hide(HIDDEN[0](bed, pulse.patient))


HIDDEN: list[Any] = [Alarm]


class Caller:
    """Keeps its connection."""

    def __init__(self) -> None:
        self.answers = 0

    def receive(self, data: bytes) -> None:
        self.answers += data.count(b"HTTP/1.1 200 ")

    def ended(self, *, killed: bool) -> None:
        pass


def of(tape: Taped, kind: type[Line]) -> list[Any]:
    return [line for line in tape.lines if isinstance(line, kind)]


async def test_a_message_is_there_with_its_time_sender_and_what_came_of_it() -> None:
    async with Site(app) as site:
        first = site.device("d7")
        await site.advance("3s")
        async with taped(site) as tape:
            await site.advance("2s")
            await first.publish("doors/1", {"beats": 3}, qos=1)
        begun, message, clock, action, fact, ended = tape.lines
    assert isinstance(begun, Begun)
    assert (begun.app, begun.node, begun.state) == ("clinic", "node-1", "withheld")  # for what a bed may hold
    assert message == Message(1, 2 * 10**9, "mqtt5", "d7", "doors/1", 1, Body(text='{"beats":3}'))
    assert clock == Clock(1, (2 * 10**9,))
    assert isinstance(action, Action)
    assert (action.of, action.topic) == (1, "doors/1/seen")
    assert fact == Stored(1, "seen", {"bed": "1"})
    assert isinstance(ended, Ended)
    assert (ended.why, ended.lines, ended.withheld) == ("stopped", 5, 0)


SECRET = "canary-4711"


async def provoke(site: Site) -> None:
    """Let the canary come in by every door, and out by every way."""
    device = site.device("d")
    await device.publish("beds/1/pulse", {"beats": 3, "patient": SECRET}, qos=1)
    await site.http.get("/beds/1")
    await device.publish("quiet/2", {"beats": 3, "patient": SECRET}, qos=1)
    await device.publish("beds/1/pulse", {"beats": SECRET}, qos=1)


async def test_what_may_become_a_fact_of_a_label_is_not_in_it() -> None:
    async with Site(app) as site:
        async with taped(site) as tape:
            await provoke(site)
        held = tape.path.read_bytes()
        assert of(tape, Ended)[0].withheld == 4
        assert [line.values for line in of(tape, Stored)] == [None, None]
    assert SECRET.encode() not in held
    assert b"digest" in held


async def test_a_canary_is_found_where_its_label_is_allowed() -> None:
    async with Site(app) as site:
        async with taped(site, labels=("eu",)) as tape:
            await provoke(site)
        found = tape.path.read_bytes().count(SECRET.encode())
        assert found == 7  # three payloads, two facts, a lamp, a reply
        assert (of(tape, Begun)[0].state, of(tape, Begun)[0].labels) == ("kept", ("eu",))


async def test_a_bed_that_was_known_before_is_not_in_it_either() -> None:
    async with Site(app) as site:
        await site.device("d").publish("beds/1/pulse", {"beats": 3, "patient": SECRET}, qos=1)
        async with taped(site) as tape:
            pass
        assert of(tape, Kept) == []
        tape.path.unlink()
        async with taped(site, labels=("eu",)) as tape:
            pass
        (cell,) = of(tape, Kept)
        assert (cell.space, cell.key) == ("state:Bed", "1")
        assert SECRET.encode() in cell.value


async def test_no_recording_has_credentials() -> None:
    headers = {
        "authorization": f"Bearer {SECRET}",
        "cookie": SECRET,
        "x-api-key": SECRET,
        "accept": "application/json",
    }
    async with Site(app) as site:
        async with taped(site, labels=("eu",)) as tape:
            await site.http.get("/beds/1", {"token": SECRET, "page": "2"}, headers)
            body = {"beats": 1, "nested": [{"Password": SECRET, "pin": 4711}]}
            await site.device("d").publish("doors/1", body, qos=1)
        assert SECRET.encode() not in tape.path.read_bytes()
        (asked,) = of(tape, Asked)
        assert asked.headers["accept"] == "application/json"
        assert "page=2" in asked.query
        (message,) = of(tape, Message)
        assert '"pin":0' in (message.payload.text or "")


async def test_a_command_and_what_an_async_function_does_later_are_of_the_message_that_ran_it() -> None:
    async with Site(app) as site:
        device = site.device("d")
        device.on_command("open", lambda _: {"ok": True})
        async with taped(site, labels=("eu",)) as tape:
            assert (await device.publish("locks/1", {"beats": 5}, qos=1)).code == 0
        (command,), (action,) = of(tape, Command), of(tape, Action)
        assert (command.of, command.device, command.name) == (1, "d", "open")
        assert (action.of, action.topic) == (1, "locks/1/state")
        assert [line.topic for line in of(tape, Message)] == ["locks/1", "devices/d/replies/open"]


async def test_a_refusal_and_a_reply_are_there_as_the_sender_got_them() -> None:
    async with Site(app) as site:
        async with taped(site, labels=("eu",)) as tape:
            await site.device("d").publish("doors/1", b"{", qos=1)
            await site.http.get("/beds/9")
            await site.http.get("/nowhere")
        refused, reply, nowhere = of(tape, Answered)
        assert (refused.of, refused.refused) == (1, "payload")
        assert (reply.of, reply.status, reply.payload.text) == (2, 200, '{"patient":""}')
        assert (nowhere.of, nowhere.refused) == (3, "not-found")


async def test_requests_that_the_gateway_knows_by_their_head_are_heard_too() -> None:
    request, caller = b"GET /plain HTTP/1.1\r\nhost: localhost\r\n\r\n", Caller()
    async with Site(app) as site:
        line = site.open_http(caller)
        for _ in range(3):
            line.send(request)
            site.clock.run()
        assert site.node.http.known.by_bytes
        async with taped(site) as tape:
            for _ in range(3):
                line.send(request)
                site.clock.run()
        assert len(of(tape, Asked)) == 3
        assert caller.answers == 6


async def test_when_it_is_over_nothing_of_it_is_left_on_any_path() -> None:
    async with Site(app) as site:
        node = site.node
        before = (node.dispatcher.router, node.dispatcher.end, node.dispatcher.clocks, node.mqtt.door)
        async with taped(site):
            assert node.mqtt.door is not node.dispatcher
        assert before == (node.dispatcher.router, node.dispatcher.end, node.dispatcher.clocks, node.mqtt.door)
        assert node.dispatcher.ear is None


async def test_properties_of_a_message_come_along() -> None:
    trace = f"00-{'1' * 32}-{'2' * 16}-01"
    properties = Properties(content_type="application/json", user=(("traceparent", trace),))
    async with Site(app) as site:
        async with taped(site, labels=("eu",)) as tape:
            await site.device("d").publish("doors/1", {"beats": 1}, qos=1, properties=properties)
        (message,) = of(tape, Message)
        assert message.content_type == "application/json"
        assert message.traceparent == trace


@pytest.mark.parametrize("size", [4000, 6000])
async def test_it_ends_when_it_is_full_and_every_event_in_it_is_whole(size: int) -> None:
    async with Site(app) as site:
        async with taped(site, labels=("eu",), max_bytes=size + 14000) as tape:
            device = site.device("d")
            for number in range(60):
                await device.publish("doors/1", {"beats": number})
            await tape.recording.look()
            assert tape.recording.problem() is None
        assert tape.path.stat().st_size <= size + 14000
        assert of(tape, Ended)[0].why == "bytes"
        messages, facts = of(tape, Message), of(tape, Stored)
        assert 0 < len(messages) == len(facts) < 60


async def test_what_comes_faster_than_the_disk_takes_it_is_dropped_and_counted() -> None:
    async with Site(app) as site:
        async with taped(site, RecordingConfig(pending_bytes=5000), labels=("eu",)) as tape:
            device = site.device("d")
            for number in range(20):
                await device.publish("doors/1", {"beats": number})
        ended = of(tape, Ended)[0]
        assert ended.dropped > 0
        assert len(of(tape, Message)) + ended.dropped == 20


async def test_it_ends_after_its_time_and_is_not_begun_twice() -> None:
    async with Site(app) as site:
        async with taped(site, until=site.clock.wall() + 10**10) as tape:
            assert "on: 0 events" in (tape.recording.problem() or "")
            await site.advance("9s")
            await tape.recording.look()
            assert tape.recording.problem() is not None
            await site.advance("1s")
            await tape.recording.look()
            assert tape.recording.problem() is None
            await tape.recording.look()
            assert tape.recording.problem() is None
        assert of(tape, Ended)[0].why == "time"


async def test_a_node_that_stops_ends_it(tmp_path: Path) -> None:
    async with Site(app, data=tmp_path) as site, taped(site) as tape:
        await tape.recording.close()
        assert of(tape, Ended)[0].why == "node"
        assert tape.path.stat().st_mode & 0o777 == 0o600
