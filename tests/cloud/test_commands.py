"""Commands in hub.db: what a node is given, what a lost store makes doubtful, what results end."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from rimward.cloud.commands.commanding import CommandDesk
from rimward.cloud.commands.desk import settle, states
from rimward.cloud.lake.storage import Folder
from rimward.wire.commands import COMMANDS_BYTES, Commands, Wanted

from .commands_support import DAY, NOW, give_command


class Desk(CommandDesk):
    """One with a clock that a test moves."""

    def __init__(self, data: Path) -> None:
        self.now = NOW
        super().__init__(data / "hub" / "hub.db", Folder(data / "lake"), lambda: self.now)

    def ask(self, store: str = "a", last: int = 0, hub: str = "", room: int = 64) -> Commands:
        return self.answer("node-1", Wanted(store, hub, last, room))

    def keys(self, **asked: Any) -> list[str]:
        return [command.key for command in self.ask(**asked).commands]

    def outcomes(self) -> dict[str, str | None]:
        return {one.key: one.outcome for one in states(self.db)}


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    opened = Desk(tmp_path)
    yield opened
    opened.close()


def told(key: str, outcome: str, node: str = "node-1") -> dict[str, Any]:
    return {"_node": node, "key": key, "outcome": outcome, "detail": "", "reply": None}


def test_a_node_gets_what_follows_the_last_that_it_has_and_nothing_of_others(
    tmp_path: Path, desk: Desk
) -> None:
    for key in "abc":
        give_command(tmp_path, key)
    give_command(tmp_path, "x", node="node-2")
    first = desk.ask(room=2)
    assert [command.key for command in first.commands] == ["a", "b"]
    assert first.more
    assert desk.keys(last=first.commands[-1].number, hub=first.hub) == ["c"]
    assert desk.keys(last=99, hub="another store's") == ["a", "b", "c"], "its numbers mean nothing there"


def test_two_commands_of_one_key_to_one_node_are_one(tmp_path: Path, desk: Desk) -> None:
    give_command(tmp_path, "a")
    give_command(tmp_path, "a")
    give_command(tmp_path, "a", node="node-2")
    assert desk.keys() == ["a"]
    assert len(states(desk.db)) == 2


def test_one_answer_holds_what_one_message_may(tmp_path: Path, desk: Desk) -> None:
    for key in "abcdefgh":
        give_command(tmp_path, key * 60_000)
    given = desk.ask()
    assert sum(len(command.payload) for command in given.commands) <= COMMANDS_BYTES
    assert given.more
    assert len(given.commands) == 4


def test_a_replaced_store_is_given_again_only_what_may_be_done_twice(tmp_path: Path, desk: Desk) -> None:
    give_command(tmp_path, "once")
    give_command(tmp_path, "twice", idempotent=True)
    assert desk.keys(store="a") == ["once", "twice"]
    give_command(tmp_path, "new")
    assert desk.keys(store="b") == ["twice", "new"]
    assert desk.outcomes() == {"once": "refused", "twice": None, "new": None}
    settle(desk.db, [told("once", "ok")], NOW)
    assert desk.outcomes()["once"] == "ok", "what its first store told arrives late and is the truth"


def test_results_end_commands_once_and_those_of_another_node_none(tmp_path: Path, desk: Desk) -> None:
    give_command(tmp_path, "a")
    assert settle(desk.db, [told("a", "ok", "node-2")], NOW) == 0
    assert settle(desk.db, [told("a", "timeout"), told("a", "ok")], NOW) == 1
    assert desk.outcomes() == {"a": "timeout"}
    assert desk.keys() == []


def test_what_nobody_asks_for_expires_and_what_nobody_tells_of_is_unknown(tmp_path: Path, desk: Desk) -> None:
    give_command(tmp_path, "taken")
    assert desk.keys() == ["taken"]
    give_command(tmp_path, "left")
    desk.now += DAY + 1
    desk.look()
    assert desk.outcomes() == {"taken": None, "left": "expired"}
    assert desk.keys() == []
    desk.now += DAY
    desk.look()
    assert desk.outcomes() == {"taken": "unknown", "left": "expired"}
    desk.now += 31 * DAY
    desk.look()
    assert desk.outcomes() == {}
