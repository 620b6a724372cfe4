"""What runs when a node starts and when it stops: before anybody is let in, with a limit, or it says why."""

from pathlib import Path
from textwrap import dedent

import pytest

from rimward.app.loading import load
from rimward.edge.config import NodeConfig
from rimward.edge.hooks import HookFailed
from rimward.edge.node import Node

from .dispatch.bench import HEAD, forwarded


def node_of(tmp_path: Path, hooks: str) -> Node:
    """Return a node of an app of hooks that say what they do."""
    file = tmp_path / "app.py"
    file.write_text(
        HEAD + "words: list[str] = []\ndef say(word: str) -> None: words.append(word)\n" + dedent(hooks)
    )
    return Node(load(str(file)), NodeConfig(app=str(file), data=str(tmp_path)))


def said(node: Node) -> list[str]:
    return node.app.hooks[0].plan.function.__globals__["words"]


async def test_hooks_run_in_their_order_and_those_of_a_stop_the_other_way_round(tmp_path: Path) -> None:
    hooks = """\
    @app.on_start
    def first() -> None:
        say("first")
        app.publish("up", {"up": True}, retain=True)
        app.forward(Warm("7", 1.0))
    @app.on_start(timeout="5s")
    async def second(trucks: States[Truck]) -> None:
        await asyncio.sleep(0)
        say(f"second {len(list(trucks.items()))}")
    @app.on_stop
    def last() -> None:
        say("last")
        app.forward(Warm("7", 2.0))
    @app.on_stop
    async def early() -> None:
        say("early")
    """
    async with node_of(tmp_path, hooks) as node:
        await node.listen({})
        assert said(node) == ["first", "second 0"]
        assert node.dispatcher.actions == 1
    assert said(node) == ["first", "second 0", "early", "last"]
    assert (await forwarded(tmp_path))["warm"] == 2


@pytest.mark.parametrize(
    ("hook", "why"),
    [
        ("def f() -> None:\n    raise OSError('dry')", "f: on_start raised OSError: dry at app.py:"),
        ("async def f() -> None:\n    await asyncio.sleep(60)", "f: on_start took longer than 0.05 s"),
        ("def f() -> None:\n    while True: pass", "f: on_start took longer than 0.05 s"),
    ],
    ids=["raises", "waits", "computes"],
)  # fmt: skip
async def test_a_start_hook_that_fails_lets_nobody_in_and_says_why(
    hook: str, why: str, tmp_path: Path
) -> None:
    text = f'@app.on_start(timeout="50ms")\n{hook}\n@app.on_stop\ndef g() -> None:\n    say("stopped")\n'
    async with node_of(tmp_path, text) as node:
        with pytest.raises(HookFailed) as caught:
            await node.listen({})
        assert str(caught.value).startswith(why)
        assert node._tasks == set()
    assert said(node) == []  # what has not started does not stop


async def test_a_stop_hook_over_its_time_is_left_alone_and_the_others_run(tmp_path: Path) -> None:
    hooks = """\
    @app.on_stop
    def last() -> None:
        say("last")
    @app.on_stop(timeout="50ms")
    async def hangs() -> None:
        await asyncio.sleep(60)
    @app.on_stop(timeout="50ms")
    def computes() -> None:
        while True: pass
    """
    async with node_of(tmp_path, hooks) as node:
        await node.listen({})
    assert said(node) == ["last"]
