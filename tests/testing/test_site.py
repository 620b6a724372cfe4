"""A Site answers as a node does: acknowledgements, refusals, replies, retained messages, rows."""

import asyncio
from pathlib import Path
from typing import Any, assert_type

import pytest

from rimward import App
from rimward.devices.errors import Refused, Unanswered, Unreachable
from rimward.events import OutboxBroken
from rimward.testing import Ack, Inbox, NothingCame, Properties, Response, Site, SiteClosed
from rimward.testing.site import LIVE

from . import workshop
from .cold_chain import TooWarm
from .workshop import Beat, Weighed, app, seen


@pytest.mark.parametrize("protocol", ["mqtt3", "mqtt5"])
async def test_a_message_at_qos_1_is_acknowledged_and_its_row_waits(protocol: Any) -> None:
    async with Site(app) as site:
        device = site.device("d", protocol=protocol)
        assert await device.publish("lines/a/weigh", {"weight": 2.5}, qos=1) == Ack(0)
        assert (site.ledger.forwarded, site.ledger.waiting, site.ledger.stored) == (1, 1, 0)
        assert site.ledger.balanced()


async def test_a_message_at_qos_0_has_run_its_function_and_is_not_acknowledged() -> None:
    async with Site(app) as site:
        lamp = site.inbox("lines/+/lamp")
        ack = await site.device("d").publish("lines/a/weigh", {"weight": 1})
        assert (ack.code, ack.ok) == (None, False)
        assert lamp.last == {"parts": 1}


REFUSALS = [
    ("lines/a/weigh", {"weight": "heavy"}, 0x99, "Expected `float`, got `str` - at `$.weight`"),
    ("lines/a/weigh", b"{", 0x99, "Input data was truncated"),
    ("lines/a/weigh", {"weight": -1}, 0x83, "weigh raised ValueError"),
    ("lines/a/refuse/conflict", b"", 0x83, "line a says conflict"),
    ("lines/a/refuse/denied", b"", 0x87, "line a says denied"),
    ("lines/a/refuse/busy", b"", 0x97, "line a says busy"),
]


@pytest.mark.parametrize(("topic", "payload", "code", "reason"), REFUSALS)
async def test_mqtt_5_says_why_a_message_is_refused(topic: str, payload: Any, code: int, reason: str) -> None:
    async with Site(app) as site:
        device = site.device("d")
        assert await device.publish(topic, payload, qos=1) == Ack(code, reason)
        assert device.connected
        assert site.ledger.forwarded == 0


@pytest.mark.parametrize(("topic", "payload", "code", "reason"), REFUSALS)
async def test_mqtt_3_acknowledges_what_can_never_succeed_and_hangs_up_on_what_may(
    topic: str, payload: Any, code: int, reason: str
) -> None:
    async with Site(app) as site:
        device = site.device("d", protocol="mqtt3")
        ack = await device.publish(topic, payload, qos=1)
        if code == 0x97:
            assert ack == Ack(None, "not acknowledged: the connection was closed")
            assert not device.connected
            assert site.dead_letters == []
        else:
            assert ack == Ack(0)
            assert reason in site.dead_letters[0].detail or site.dead_letters[0].reason == "failed"


async def test_what_a_function_raises_is_kept_for_the_test_with_its_dead_letter() -> None:
    async with Site(app) as site:
        lamp = site.inbox("lines/a/lamp")
        await site.device("d").publish("lines/a/weigh", {"weight": -1}, qos=1)
        (error,) = site.errors
        assert isinstance(error, ValueError)
        assert str(error) == "a part that floats"
        (letter,) = site.dead_letters
        assert (letter.function, letter.sender, letter.payload) == ("weigh", "d", b'{"weight":-1}')
        assert letter.detail.startswith("ValueError: a part that floats at workshop.py:")
        assert len(lamp) == 0
        assert (await site.http.get("/lines/a")).json() == {"count": 0, "fleeting": 0}


async def test_a_rejection_is_no_error_of_the_function() -> None:
    async with Site(app) as site:
        await site.device("d").publish("lines/a/refuse/conflict", qos=1)
        assert site.errors == []
        assert site.dead_letters == []


async def test_http_answers_with_status_headers_and_json() -> None:
    async with Site(app) as site:
        await site.device("d").publish("lines/a/weigh", {"weight": 1}, qos=1)
        answer = await site.http.get("/lines/a")
        assert answer.status == 200
        assert answer.headers["content-type"] == "application/json"
        assert answer.headers["date"] == "Thu, 01 Jan 2026 00:00:00 GMT"
        assert answer.json(dict[str, int]) == {"count": 1, "fleeting": 1}
        assert_type(answer, Response)
        assert answer.text == '{"count":1,"fleeting":1}'


async def test_http_says_what_it_refuses_as_problem_json() -> None:
    async with Site(app) as site:
        bad = await site.http.post("/parts", {"weight": "heavy"})
        assert (bad.status, bad.headers["content-type"]) == (422, "application/problem+json")
        assert bad.json() == {
            "type": "about:blank",
            "title": "Unprocessable Entity",
            "status": 422,
            "detail": "Expected `float`, got `str` - at `$.weight`",
            "code": "payload",
        }
        assert (await site.http.get("/lines/a-b")).status == 400
        assert (await site.http.get("/nowhere")).status == 404
        wrong = await site.http.delete("/parts")
        assert (wrong.status, wrong.headers["allow"]) == (405, "POST")
        foreign = await site.http.post("/parts", {"weight": 1}, headers={"host": "example.org"})
        assert foreign.status == 421


async def test_http_takes_query_parameters_and_its_answer_waits_for_the_commit() -> None:
    async with Site(app) as site:
        answer = await site.http.request("POST", "/parts", {"weight": 3}, params={"line": "x"})
        assert answer.status == 200
        await site.settle()
        assert site.rows(Weighed) == [Weighed("x", 3.0)]


async def test_a_head_request_has_the_head_of_its_get_and_no_body() -> None:
    async with Site(app) as site:
        head = await site.http.request("HEAD", "/lines/a")
        assert (head.status, head.body, head.headers["content-length"]) == (200, b"", "24")


async def test_a_request_over_mqtt_5_gets_the_functions_reply() -> None:
    async with Site(app) as site:
        reply = await site.device("d").request("lines/a/ask")
        assert reply.payload == b'{"line":"a","sender":"d"}'
        assert reply.properties is not None
        assert reply.properties.correlation_data == b"1"
        with pytest.raises(Refused) as refused:
            await site.device("e").request("lines/a/refuse/denied")
        assert refused.value.reason == 0x87
        with pytest.raises(NothingCame):
            await site.device("f").request("lines/a/nobody")


async def test_retained_messages_come_to_who_subscribes_later_and_once() -> None:
    async with Site(app) as site:
        await site.device("d").publish("lines/a/weigh", {"weight": 1}, qos=1)
        lamp = site.inbox("lines/a/lamp", dict[str, int])
        assert lamp.all == [{"parts": 1}]
        assert lamp.messages[0].retain
        await site.settle()
        await site.kill9()
        assert lamp.all == [{"parts": 1}]
        assert site.inbox("lines/a/lamp").all == [{"parts": 1}]


async def test_inboxes_are_typed_and_say_when_nothing_came() -> None:
    async with Site(app) as site:
        typed, plain = site.inbox("a/#", list[int]), site.inbox("a/#")
        assert_type(typed, Inbox[list[int]])
        with pytest.raises(NothingCame, match="nothing came under 'a/#'"):
            _ = typed.last
        with pytest.raises(NothingCame, match="nothing moves"):
            await typed.next()
        device = site.device("d")
        await device.publish("a/b", [1, 2])
        await device.publish("a/c", [3])
        assert [await typed.next(), await typed.next()] == [[1, 2], [3]]
        assert [message.topic for message in plain.messages] == ["a/b", "a/c"]
        plain.clear()
        assert list(plain) == []
        assert len(typed) == 2
        await device.publish("b/a", b"\xff")
        assert len(typed) == 2


async def test_an_inbox_reads_json_text_and_bytes() -> None:
    async with Site(app) as site:
        inbox, device = site.inbox("x"), site.device("d")
        for payload in ({"a": 1}, "words", b"\xff\x00"):
            await device.publish("x", payload, properties=Properties(content_type="any"))
        assert inbox.all == [{"a": 1}, "words", b"\xff\x00"]
        assert inbox.messages[0].properties == Properties(content_type="any")


async def test_an_async_function_goes_on_while_the_test_does() -> None:
    workshop.gates.clear()
    async with Site(app) as site:
        done = site.inbox("lines/a/done")
        publishing = asyncio.create_task(site.device("d").publish("lines/a/wait", qos=1))
        await asyncio.sleep(0)
        assert not publishing.done()
        assert done.all == []
        workshop.gates["a"].set()
        assert (await publishing).code == 0
        assert await done.next() == "waited"
        await site.settle()
        assert site.rows(Weighed) == [Weighed("a", 1.0)]


async def test_a_site_that_closes_ends_the_async_functions_that_wait() -> None:
    workshop.gates.clear()
    async with Site(app) as site:
        await site.device("d").publish("lines/a/wait")
        assert len(site.node.tasks) == 1
    assert site.errors == []


async def test_two_sites_of_one_app_never_see_each_others_effects() -> None:
    workshop.gates.clear()
    async with Site(app) as left, Site(app) as right:
        lamps = left.inbox("lines/a/lamp"), right.inbox("lines/a/lamp")
        done = left.inbox("lines/+/done"), right.inbox("lines/+/done")
        await asyncio.gather(
            left.device("d").publish("lines/a/weigh", {"weight": 1}, qos=1),
            right.device("d").publish("lines/a/weigh", {"weight": 2}, qos=1),
            right.device("e").publish("lines/a/weigh", {"weight": 3}, qos=1),
        )
        devices = left.device("w"), right.device("w")
        waiting = [asyncio.create_task(one.publish("lines/w/wait", qos=1)) for one in devices]
        await asyncio.sleep(0)
        workshop.gates["w"].set()
        await asyncio.gather(*waiting)
        assert [len(lamp) for lamp in lamps] == [1, 2]
        assert [inbox.all for inbox in done] == [["waited"], ["waited"]]
        await left.settle()
        await right.settle()
        assert left.rows(Weighed) == [Weighed("a", 1.0), Weighed("w", 1.0)]
        assert right.rows(Weighed) == [Weighed("a", 2.0), Weighed("a", 3.0), Weighed("w", 1.0)]
        assert left.folder != right.folder


async def test_cloud_functions_run_on_committed_rows_when_the_site_settles() -> None:
    seen.clear()
    async with Site(app) as site:
        device = site.device("d")
        for weight in range(3):
            await device.publish("lines/a/weigh", {"weight": weight}, qos=1)
        assert seen == []
        await site.settle()
        assert seen == [Weighed("a", 0.0), Weighed("a", 1.0), Weighed("a", 2.0)]
        await site.settle()
        assert len(seen) == 3


async def test_a_cloud_function_is_tried_again_and_then_its_row_is_a_dead_letter() -> None:
    seen.clear()
    workshop.failures = 2
    async with Site(app) as site:
        device = site.device("d")
        await device.publish("lines/a/weigh", {"weight": 1}, qos=1)
        await site.settle()
        assert seen == [Weighed("a", 1.0)]
        assert site.errors == []
        workshop.failures = 3
        await device.publish("lines/a/weigh", {"weight": 2}, qos=1)
        await site.settle()
        assert len(seen) == 1
        assert [str(error) for error in site.errors] == ["the cloud is cloudy"]
        (letter,) = site.dead_letters
        assert (letter.function, letter.detail) == ("store", "RuntimeError: the cloud is cloudy")
        assert site.ledger.balanced()


async def test_the_lake_is_there_for_the_test_as_for_a_cloud_function() -> None:
    async with Site(app) as site:
        await site.device("d").publish("lines/a/weigh", {"weight": 4}, qos=1)
        await site.settle()
        assert site.lake.table(Weighed).num_rows == 1
        assert (
            await asyncio.to_thread(site.lake.sql, "select sum(weight) as s from weighed")
        ).to_pylist() == [{"s": 4.0}]
        assert_type(site.rows(Weighed), list[Weighed])


async def test_the_ledger_tells_each_facts_part_and_their_sum() -> None:
    async with Site(app) as site:
        await site.device("d").publish("lines/a/weigh", {"weight": 4}, qos=1)
        await site.settle()
        site.uplink.down()
        await site.advance("25s")
        await site.settle()
        ledger = site.ledger
        assert (ledger.forwarded, ledger.stored, ledger.waiting) == (3, 1, 2)
        weighed, beats = ledger.of(Weighed), ledger.of(Beat)
        assert (weighed.forwarded, weighed.stored, weighed.waiting) == (1, 1, 0)
        assert (beats.forwarded, beats.stored, beats.waiting) == (2, 0, 2)
        assert (ledger.missing, ledger.dead_lettered, ledger.expired, ledger.erased) == (0, 0, 0, 0)
        assert ledger.balanced()


async def test_the_ledger_does_not_balance_when_a_row_is_gone_from_the_outbox() -> None:
    async with Site(app) as site:
        await site.device("d").publish("lines/a/weigh", {"weight": 4}, qos=1)
        site.node.outbox.core._db.execute("delete from chunk")
        assert site.ledger.missing == 1
        assert not site.ledger.balanced()


async def test_rows_of_what_is_no_fact_of_the_app_are_refused() -> None:
    async with Site(app) as site:
        with pytest.raises(TypeError, match="TooWarm is not a fact"):
            site.rows(TooWarm)


async def test_a_device_that_leaves_gets_nothing_and_can_come_back() -> None:
    async with Site(app) as site:
        device = site.device("d")
        lamp = device.subscribe("lines/a/lamp")
        device.disconnect()
        assert not device.connected
        with pytest.raises(Unreachable, match="call connect"):
            await device.publish("lines/a/weigh", {"weight": 1}, qos=1)
        await site.device("e").publish("lines/b/weigh", {"weight": 1}, qos=1)
        device.connect()
        await device.publish("lines/a/weigh", {"weight": 1}, qos=1)
        assert lamp.all == [{"parts": 1}]


@pytest.mark.parametrize("protocol", ["mqtt3", "mqtt5"])
async def test_a_session_that_lasts_gets_what_came_while_it_was_away_and_over_a_kill(protocol: Any) -> None:
    async with Site(App("notes", compat="2026-11-01")) as site:
        reader, sender = site.device("reader", protocol=protocol, session="1h"), site.device("sender")
        inbox = reader.subscribe("notes/#")
        reader.disconnect(politely=False)
        await sender.publish("notes/1", "kept", qos=1)
        await sender.publish("notes/2", "gone", qos=0)
        await site.kill9()
        await sender.publish("notes/3", "after", qos=1)
        reader.connect()
        assert inbox.all == ["kept", "after"]
        reader.disconnect()
        await site.advance("8d" if protocol == "mqtt3" else "61m")
        await sender.publish("notes/4", "too late", qos=1)
        reader.connect()
        assert inbox.all == ["kept", "after"]


async def test_a_second_device_of_one_id_takes_the_place_of_the_first() -> None:
    async with Site(app) as site:
        first, second = site.device("d"), site.device("d")
        assert not first.connected
        assert second.connected


async def test_a_session_of_another_user_is_refused() -> None:
    async with Site(app) as site:
        site.device("d", user="alice")
        with pytest.raises(Refused, match="belongs to another identity") as refused:
            site.device("d", user="bob")
        assert refused.value.reason == 0x87


async def test_a_subscription_that_the_node_does_not_grant_is_refused() -> None:
    async with Site(app) as site:
        with pytest.raises(Refused, match="wildcard out of its place") as refused:
            site.device("d").subscribe("a/b+")
        assert refused.value.reason == 0x8F


async def test_a_site_is_used_inside_its_block() -> None:
    site = Site(app)
    with pytest.raises(SiteClosed, match="async with Site"):
        site.device("d")
    async with site:
        folder = site.folder
        assert folder.exists()
    assert not folder.exists()
    with pytest.raises(SiteClosed):
        await site.settle()
    with pytest.raises(SiteClosed, match="opened once"):
        await site.__aenter__()


async def test_a_thousand_requests_leave_no_connection_behind() -> None:
    async with Site(app) as site:
        for _ in range(1000):
            assert (await site.http.get("/lines/a")).status == 200
        assert len(site.node._lines) <= 128
        assert site.node.http.stats()["connections"] == 0


async def test_a_site_that_can_not_start_leaves_no_folder(tmp_path: Path) -> None:
    (tmp_path / "node" / "outbox.db").mkdir(parents=True)
    site = Site(app, data=tmp_path)
    with pytest.raises(OutboxBroken, match=r"outbox\.db"):
        await site.__aenter__()
    assert site not in LIVE


async def test_what_a_broken_site_can_not_tell_does_not_hide_the_tests_own_error() -> None:
    async def fail() -> None:
        async with Site(app) as site:
            await site.device("d").publish("lines/a/weigh", {"weight": -1}, qos=1)
            site.node.outbox.close()
            raise AssertionError("the test's own")

    with pytest.raises(AssertionError, match="the test's own") as raised:
        await fail()
    assert raised.value.__notes__[0] == "In the Site of 'workshop':"
    assert "ValueError: a part that floats at workshop.py:" in raised.value.__notes__[1]
    assert "the dead letters can't be read" in raised.value.__notes__[2]


async def test_a_folder_that_was_given_is_kept_and_the_next_site_goes_on_with_it(tmp_path: Path) -> None:
    async with Site(app, data=tmp_path) as site:
        await site.device("d").publish("lines/a/weigh", {"weight": 1}, qos=1)
    async with Site(app, data=tmp_path) as site:
        assert (await site.http.get("/lines/a")).json() == {"count": 1, "fleeting": 0}
        await site.settle()
        assert site.rows(Weighed) == [Weighed("a", 1.0)]
        assert site.ledger.balanced()


async def test_the_same_seed_makes_the_same_ids() -> None:
    async def events(seed: int) -> list[str]:
        async with Site(app, seed=seed) as site:
            await site.device("d").publish("lines/a/weigh", {"weight": 1}, qos=1)
            await site.settle()
            return [row["_event"] for row in site.lake.table(Weighed).to_pylist()]

    assert await events(1) == await events(1)
    assert await events(1) != await events(2)


async def test_a_request_that_the_node_dies_over_has_no_answer() -> None:
    async with Site(app) as site:
        site.kill9_at("before-commit")
        with pytest.raises(Unanswered, match="the node was killed"):
            await site.http.post("/parts", {"weight": 1})
        assert (await site.http.post("/parts", {"weight": 1})).status == 200
