"""Functions in processes of their own: they leave what inline calls leave, and no death is another's."""

import asyncio
import os
import signal
from pathlib import Path

from tests.edge.dispatch.bench import forwarded
from tests.edge.functions.far import Far, far, until
from tests.edge.functions.test_placing import placing_of

from rimward.edge.functions.config import WorkersConfig

ALL = """
import os, signal, time
from rimward import Reply, CloudEvent
here = os.getpid()
@app.edge(mqtt("t/{truck}"), run="process")
def guard(truck: str, reading: Reading, state: State[Truck], event: Event) -> dict[str, object]:
    state.value.count += 1
    app.publish(f"c/{truck}", {"n": state.value.count})
    app.forward(Warm(truck, reading.celsius))
    if reading.celsius == 40:
        state.value.count <<= 70
    if reading.celsius > 99:
        raise RuntimeError("too hot")
    if reading.celsius > 50:
        raise Reject("conflict", "warm")
    return {"own": os.getpid() != here, "event": event.subject, "n": state.value.count}
@app.edge(http.get("/t/{truck}"), run="process")
def latest(truck: int, states: States[Truck], unit: str = "C") -> Reply[dict[str, object]]:
    known = {key: cell.count for key, cell in states.items()}
    return Reply({"truck": truck, "unit": unit, "known": known}, status=203, headers={"X-Own": "yes"})
@app.edge(mqtt("slow/{truck}"), run="process")
async def slowly(truck: str, reading: Reading, device: Device) -> str:
    await asyncio.sleep(0.01)
    app.publish(f"slow/{truck}/done", device.id)
    return app.now().tzname()
"""


async def test_what_a_call_elsewhere_leaves_is_what_an_inline_call_leaves(tmp_path: Path) -> None:
    async with far(tmp_path, ALL) as one:
        b = one.bench
        ticket = await b.message("t/7", {"celsius": 9.5})
        assert ticket is not None
        assert ticket.refusal is None
        assert ticket.reply is not None
        assert ticket.reply.body == b'{"own":true,"event":"t/7","n":1}'
        assert b.sent == [("c/7", b'{"n":1}')]
        assert await forwarded(tmp_path) == {"warm": 1}
        for celsius, kind in ((100, "failed"), (60, "conflict"), (40, "failed")):
            ticket = await b.message("t/7", {"celsius": celsius})
            assert ticket is not None
            assert ticket.refusal is not None
            assert ticket.refusal.kind == kind
        assert len(b.sent) == 1
        assert await forwarded(tmp_path) == {"warm": 1}
        assert b.outbox.stats()["dead_letters"] == 2
        reply = (await b.get("/t/7", "unit=F")).reply
        assert reply is not None
        assert (reply.status, reply.headers, reply.content_type) == (
            203,
            {"x-own": "yes"},
            "application/json",
        )
        assert reply.body == b'{"truck":7,"unit":"F","known":{"7":1}}'
        tickets = await asyncio.gather(*(b.message(f"slow/{n}", {"celsius": 1}) for n in range(20)))
        assert {ticket.reply.body for ticket in tickets if ticket and ticket.reply} == {b"UTC"}
        assert len(b.sent) == 21


DEADLY = """
import ctypes, os, time
@app.edge(mqtt("t/{truck}"), run="process")
def guard(truck: str, reading: Reading) -> None:
    if reading.celsius == 1:
        ctypes.string_at(0)
    if reading.celsius == 2:
        os._exit(3)
    if reading.celsius == 3:
        while True: pass
    if reading.celsius == 4:
        bytearray(10 << 30)
    app.publish(f"c/{truck}", b"")
"""


async def test_a_death_fails_the_call_that_died_of_it_and_no_other(tmp_path: Path) -> None:
    async with far(tmp_path, DEADLY) as one:
        b = one.bench
        await b.message("t/7", {"celsius": 0})
        for celsius, why in ((1, "SIGSEGV"), (2, "exit code 3"), (3, "limit of 1 s"), (4, "MemoryError")):
            sent = [b.message(f"t/{n}", {"celsius": celsius if n == 5 else 0}) for n in range(10)]
            tickets = await asyncio.gather(*sent)
            refused = [n for n, ticket in enumerate(tickets) if ticket is not None and ticket.refusal]
            assert refused == [5], (celsius, refused)
            ticket = tickets[5]
            assert ticket is not None
            assert ticket.refusal is not None
            assert ticket.refusal.kind == ("timeout" if celsius == 3 else "failed")
            died = one.workers.stats()["guard"].died_of
            assert why in died or why == "MemoryError"
        assert len(b.sent) == 1 + 4 * 9
        assert b.outbox.stats()["dead_letters"] == 4
        stats = one.workers.stats()["guard"]
        assert stats.died == 3
        assert stats.waiting == 0
        assert "guard" in (one.workers.problem() or "")


async def test_a_worker_that_is_killed_between_calls_is_replaced_at_once(tmp_path: Path) -> None:
    async with far(tmp_path, DEADLY) as one:
        await one.bench.message("t/7", {"celsius": 0})
        await until(lambda: bool(one.workers.stats()["guard"].pids))  # told by its zygote
        [pid] = one.workers.stats()["guard"].pids
        os.kill(pid, signal.SIGKILL)
        await until(lambda: one.workers.stats()["guard"].pids not in ([pid], []))
        ticket = await one.bench.message("t/7", {"celsius": 0})
        assert ticket is None or ticket.refusal is None


async def test_the_calls_of_a_zygote_that_dies_are_begun_again_by_the_next(tmp_path: Path) -> None:
    functions = """
    import time
    @app.edge(mqtt("t/{truck}"), run="process")
    def guard(truck: str, reading: Reading) -> None:
        time.sleep(reading.celsius)
        app.publish(f"c/{truck}", b"")
    """
    async with far(tmp_path, functions) as one:
        await one.bench.message("t/7", {"celsius": 0})
        tasks = [asyncio.ensure_future(one.bench.message(f"t/{n}", {"celsius": 0.3})) for n in range(2)]
        await asyncio.sleep(0)
        await until(lambda: one.workers.stats()["guard"].waiting == 2)
        one.zygote.kill()
        await one.zygote.wait()
        await until(lambda: one.workers.zygote is None)
        await one.again()
        for ticket in await asyncio.gather(*tasks):
            assert ticket is None or ticket.refusal is None
        assert len(one.bench.sent) == 3
        assert one.workers.stats()["guard"].died == 0


PLAIN = """
import os, time
@app.edge(mqtt("t/{truck}"), run="process")
def guard(truck: str, reading: Reading) -> int:
    time.sleep(reading.celsius)
    return os.getpid()
@app.edge(mqtt("moved/{truck}"))
def moved(truck: str, reading: Reading) -> int:
    return os.getpid()
"""


async def test_more_calls_than_may_wait_are_refused_as_busy_and_leave_no_dead_letter(tmp_path: Path) -> None:
    async with far(tmp_path, PLAIN, WorkersConfig(queue=2)) as one:
        sent = [one.bench.message(f"t/{n}", {"celsius": 0.05}) for n in range(3)]
        tickets = await asyncio.gather(*sent)
        kinds = [ticket.refusal and ticket.refusal.kind for ticket in tickets if ticket is not None]
        assert kinds == [None, None, "busy"]
        assert one.workers.stats()["guard"].busy == 1
        assert one.bench.outbox.stats()["dead_letters"] == 0


async def test_a_worker_that_has_answered_enough_or_is_old_makes_room_for_another(tmp_path: Path) -> None:
    async with far(tmp_path, PLAIN, WorkersConfig(calls=2, each=1)) as one:
        pids = [await pid_of(one, "t/7") for _ in range(5)]
        assert pids[0] == pids[1] != pids[2] == pids[3] != pids[4]
        stats = one.workers.stats()["guard"]
        assert (stats.recycled, stats.died) == (2, 0)
    async with far(tmp_path, PLAIN, WorkersConfig(age=0.0)) as one:
        before = await pid_of(one, "t/7")
        await until(lambda: one.workers.stats()["guard"].pids == [before])
        one.workers.tick()
        assert await pid_of(one, "t/7") != before


async def test_a_function_that_is_moved_runs_in_a_worker_from_the_next_call_on(tmp_path: Path) -> None:
    async with far(tmp_path, PLAIN) as one:
        assert await pid_of(one, "moved/7") == os.getpid()
        one.bench.dispatcher.place("moved", "process")
        assert await pid_of(one, "moved/7") != os.getpid()
        one.bench.dispatcher.place("moved", "inline")
        assert await pid_of(one, "moved/7") == os.getpid()


async def test_an_event_that_killed_two_workers_is_not_run_again(tmp_path: Path) -> None:
    async with far(tmp_path, DEADLY) as one:
        one.bench.dispatcher.conduct = await placing_of(one.bench, tmp_path)
        for dead in (1, 2, 2):
            ticket = await one.bench.message("t/7", {"celsius": 2})
            assert ticket is not None
            assert ticket.refusal is not None
            assert ticket.refusal.kind == "failed"
            assert one.workers.stats()["guard"].died == dead
        assert one.bench.outbox.stats()["dead_letters"] == 3


async def test_functions_of_one_message_that_share_a_cell_take_turns(tmp_path: Path) -> None:
    functions = """
    @app.edge(mqtt("t/{truck}"), run="process")
    def first(truck: str, reading: Reading, state: State[Truck]) -> None:
        state.value.count += 1
    @app.edge(mqtt("{kind}/{truck}"))
    def second(kind: str, truck: str, reading: Reading, state: State[Truck]) -> int:
        state.value.count += 10
        return state.value.count
    """
    async with far(tmp_path, functions) as one:
        sent = [one.bench.message("t/7", {"celsius": 1}) for _ in range(3)]
        tickets = await asyncio.gather(*sent)
        assert [ticket.reply.body for ticket in tickets if ticket and ticket.reply] == [b"11", b"22", b"33"]


async def test_a_timer_asked_for_in_a_worker_is_the_nodes_and_fires_in_one(tmp_path: Path) -> None:
    functions = """
    from rimward import timer
    @app.edge(mqtt("t/{truck}"), run="process")
    def first(truck: str, reading: Reading, state: State[Truck]) -> None:
        state.after("1ms", late)
    @app.edge(timer(Truck), run="process")
    def late(truck: str, state: State[Truck]) -> None:
        app.publish("late", truck)
    """
    async with far(tmp_path, functions) as one:
        await one.bench.message("t/7", {"celsius": 1})
        firing = one.bench.dispatcher.firing
        assert firing.timers.find("late", "7") is not None
        await until(lambda: firing.look() or one.bench.sent)
        assert one.bench.sent == [("late", b"7")]


LANE = """
@app.fact
class Big(Struct):
    n: int
@app.edge(mqtt("t/{truck}"), run="process", budget="1h")
def guard(truck: str, reading: Reading):
    if reading.celsius == 1:
        raise RuntimeError("no")
    if reading.celsius == 2:
        app.forward(Warm(truck, reading.celsius))
    if reading.celsius == 3:
        return {"truck": truck}
    if reading.celsius == 4:
        app.publish(f"c/{truck}", "x", qos=1)
    if reading.celsius == 5:
        app.forward(Big(1 << 70))
"""


async def test_a_plain_function_leaves_what_the_longer_way_would(tmp_path: Path) -> None:
    async with far(tmp_path, LANE) as one:
        b = one.bench
        sent = [await b.message(f"t/{n}", {"celsius": n}) for n in range(6)]
        kinds = [ticket.refusal and ticket.refusal.kind for ticket in sent if ticket is not None]
        assert kinds == [None, "failed", None, None, None, "failed"]
        assert sent[3] is not None
        assert sent[3].reply is not None
        assert sent[3].reply.body == b'{"truck":"3"}'
        assert b.sent == [("c/4", b"x")]
        assert await forwarded(tmp_path) == {"warm": 1}
        bad = await b.message("t/7", b'{"celsius":"x"}')
        assert bad is not None
        assert bad.refusal is not None
        assert bad.refusal.kind == "payload"
        assert b.outbox.stats()["dead_letters"] == 3
        stats = b.dispatcher.functions["guard"].figures.stats()
        assert (stats.calls, stats.errors, b.dispatcher.events) == (7, 3, 7)


async def test_calls_that_go_out_together_are_each_answered(tmp_path: Path) -> None:
    async with far(tmp_path, LANE, WorkersConfig(each=2)) as one:
        b = one.bench
        tickets = await asyncio.gather(*(b.message(f"t/{n}", {"celsius": n % 6}) for n in range(300)))
        refused = [n for n, ticket in enumerate(tickets) if ticket is not None and ticket.refusal]
        assert refused == [n for n in range(300) if n % 6 in (1, 5)]
        assert sorted(topic for topic, _ in b.sent) == sorted(f"c/{n}" for n in range(4, 300, 6))
        assert await forwarded(tmp_path) == {"warm": 50}
        assert one.workers.stats()["guard"].waiting == 0


async def test_the_worker_after_one_that_died_was_forked_before(tmp_path: Path) -> None:
    async with far(tmp_path, DEADLY, WorkersConfig(each=1)) as one:
        await one.bench.message("t/7", {"celsius": 0})
        await until(lambda: bool(one.workers.stats()["guard"].pids))
        [pid] = one.workers.stats()["guard"].pids
        porter = any("cgroup" in one for one in one.workers.mechanisms)
        known = await children(one)
        while len(known) < 2 + porter:
            await asyncio.sleep(0.01)
            known = await children(one)
        os.kill(pid, signal.SIGKILL)
        await until(lambda: one.workers.stats()["guard"].pids not in ([pid], []))
        assert set(one.workers.stats()["guard"].pids) <= known


async def children(one: Far) -> set[int]:
    """Return what the zygote has forked."""
    path = Path(f"/proc/{one.zygote.pid}/task/{one.zygote.pid}/children")
    return {int(pid) for pid in (await asyncio.to_thread(path.read_text)).split()}


async def pid_of(one: Far, topic: str) -> int:
    ticket = await one.bench.message(topic, {"celsius": 0})
    assert ticket is not None
    assert ticket.reply is not None
    return int(ticket.reply.body)
