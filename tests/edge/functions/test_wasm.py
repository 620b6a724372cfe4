"""Functions in WebAssembly: JSON goes in and out, and nothing that their code does reaches further."""

import asyncio
from pathlib import Path

import pytest
import wasmtime
from tests.edge.dispatch.bench import forwarded
from tests.edge.functions.far import Far, far

TOY = (Path(__file__).parent / "toy.wat").read_text()
APP = """
from rimward import Confine
small = Confine(memory="1MiB")
@app.edge(mqtt("count/{truck}"), run="wasm", component="toy.wasm")
def count(truck: str, reading: Reading) -> int: ...
@app.edge(mqtt("effects/{truck}"), run="wasm", component="toy.wasm")
def effects(truck: str, reading: Reading, event: Event, device: Device) -> str: ...
@app.edge(mqtt("deny/{truck}"), run="wasm", component="toy.wasm")
def deny(truck: str, reading: Reading) -> None: ...
@app.edge(mqtt("nonsense/{truck}"), run="wasm", component="toy.wasm")
def nonsense(truck: str, reading: Reading) -> None: ...
@app.edge(mqtt("hostile/{truck}"), run="wasm", component="toy.wasm", limit="50ms")
def loop(truck: str, reading: Reading) -> None: ...
@app.edge(mqtt("deep/{truck}"), run="wasm", component="toy.wasm")
def recurse(truck: str, reading: Reading) -> None: ...
@app.edge(mqtt("greedy/{truck}"), run="wasm", component="toy.wasm", confine=small)
def grow(truck: str, reading: Reading) -> None: ...
"""


def write_toy(folder: Path) -> None:
    (folder / "toy.wasm").write_bytes(bytes(wasmtime.wat2wasm(TOY)))


async def refusal(one: Far, topic: str, **reading: object) -> tuple[str, str]:
    ticket = await one.bench.message(topic, {"celsius": 1} | reading)
    assert ticket is not None
    assert ticket.refusal is not None
    return ticket.refusal.kind, ticket.refusal.detail


async def reply(one: Far, topic: str, **reading: object) -> bytes:
    ticket = await one.bench.message(topic, {"celsius": 1} | reading)
    assert ticket is not None
    assert ticket.refusal is None, ticket.refusal
    assert ticket.reply is not None
    return ticket.reply.body


async def test_a_component_answers_acts_and_forwards(tmp_path: Path) -> None:
    write_toy(tmp_path)
    async with far(tmp_path, APP) as one:
        assert [await reply(one, "count/7") for _ in range(3)] == [b"1", b"2", b"3"]
        assert await reply(one, "effects/7") == b"hi"
        assert one.bench.sent == [("c/7", b'{"mode":"max"}')]
        assert await forwarded(tmp_path) == {"warm": 1}
        assert await refusal(one, "deny/7") == ("denied", "no")
        assert (await refusal(one, "nonsense/7"))[0] == "failed"
        [pid] = one.workers.stats()["count"].pids
        status = await asyncio.to_thread(Path(f"/proc/{pid}/status").read_text)
        assert "Seccomp:\t2" in status


async def test_no_component_hurts_more_than_its_own_call(tmp_path: Path) -> None:
    write_toy(tmp_path)
    async with far(tmp_path, APP) as one:
        for topic, kind, why in (
            ("hostile/7", "timeout", "0.05 s"),
            ("deep/7", "failed", "Trap"),
            ("greedy/7", "failed", "Trap"),
        ):
            for _ in range(2):
                found = await refusal(one, topic)
                assert found[0] == kind
                assert why in found[1]
            assert await reply(one, "count/7")
        assert {name: stats.died for name, stats in one.workers.stats().items()} == dict.fromkeys(
            one.workers.stats(), 0
        )
        assert one.bench.outbox.stats()["dead_letters"] == 6


RULES = """
from rimward import Confine
small = Confine(memory="64MiB")
@app.fact
class TooWarm(Struct):
    truck: str
    celsius: float
class Noted(Struct):
    celsius: float
    note: str = ""
@app.edge(mqtt("judge/{truck}"), run="wasm", module="rules.py")
def judge(truck: str, reading: Noted) -> dict[str, object]: ...
@app.edge(mqtt("decode/{device}"), run="wasm", module="rules.py")
def decode(device: str, frame: bytes) -> dict[str, float]: ...
@app.edge(mqtt("tidy/{truck}"), run="wasm", module="rules.py", limit="300ms")
def tidy(truck: str, reading: Noted) -> str: ...
@app.edge(mqtt("gather/{truck}"), run="wasm", module="rules.py", confine=small)
def gather(truck: str, reading: Noted) -> int: ...
@app.edge(mqtt("follow/{truck}"), run="wasm", module="rules.py")
def follow(truck: str, reading: Noted) -> int: ...
"""


@pytest.mark.timeout(900)  # it is built once: a minute, and more where all is busy
async def test_a_python_module_is_built_and_runs_as_a_component(tmp_path: Path) -> None:
    (tmp_path / "rules.py").write_text(rules_of_the_page())
    async with far(tmp_path, RULES) as one:
        assert await reply(one, "judge/7", celsius=9.5) == b'{"truck":"7","warm":true}'
        assert one.bench.sent == [("trucks/7/chiller", b'{"mode":"max"}')]
        assert await forwarded(tmp_path) == {"too_warm": 1}
        assert await refusal(one, "judge/7", celsius=-300) == ("invalid", "colder than anything is")
        ticket = await one.bench.message("decode/7", b"\x03\xb6")
        assert ticket is not None
        assert ticket.reply is not None
        assert ticket.reply.body == b'{"celsius":9.5}'
        for topic, kind, why in (
            ("tidy/7", "timeout", "0.3 s"),
            ("gather/7", "failed", "MemoryError"),
            ("follow/7", "failed", "RecursionError"),
        ):
            found = await refusal(one, topic, note="a" * 40 + "!")
            assert found[0] == kind
            assert why in found[1]
        assert await reply(one, "tidy/7") == b"tidy"
        assert not any(stats.died for stats in one.workers.stats().values())


def rules_of_the_page() -> str:
    """Return the module of docs/howto/wasm.md: building one takes long, so that one serves for all."""
    page = (Path(__file__).parents[3] / "docs/howto/wasm.md").read_text()
    return page.partition("```python\n")[2].partition("```")[0]
