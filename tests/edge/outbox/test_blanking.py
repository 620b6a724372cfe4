"""What the hub has erased: its rows keep their places in the outbox and lose what they said, on disk too."""

import zlib
from pathlib import Path
from typing import Any

import msgspec

from rimward.edge.outbox import OutboxCore
from rimward.edge.outbox.tending import ERASE, ERASED, Tending
from rimward.wire import Row
from rimward.wire.erasing import Erased, Order, Orders, erasure

from .outbox_support import Wall, commit, core, letter, mark, query, row

NAME = "Ada Lovelace"
FORGET = Order(erasure("e-1", 2_000 * 86_400 * 10**9, (None, "who", NAME), "salt"), {"warm": {"s1": 0}})


def values(folder: Path) -> list[tuple[str, int, tuple[Any, ...]]]:
    """Return (lane, seq, values) of every row, whose chunk is whole."""
    found: list[tuple[str, int, tuple[Any, ...]]] = []
    for lane, first, last, crc, body in query(
        folder, "select fact, first, last, crc, body from chunk order by fact, counter, first"
    ):
        assert zlib.crc32(body) == crc
        rows = msgspec.msgpack.decode(b"\xdd" + (last - first + 1).to_bytes(4, "big") + body, type=list[Row])
        assert [one.seq for one in rows] == list(range(first, last + 1))
        found += [(lane, one.seq, one.values) for one in rows]
    return found


def on_disk(folder: Path, text: str) -> bool:
    return any(text.encode() in file.read_bytes() for file in folder.glob("outbox.db*"))


def filled(outbox: OutboxCore) -> None:
    commit(outbox, row("x"), row(NAME), row("y"), row(NAME, "cold"), row(NAME, schema="s2"))
    commit(outbox, row(NAME))


def test_rows_that_wait_and_copies_that_are_kept_lose_their_values_and_nothing_else(tmp_path: Path) -> None:
    with core(tmp_path) as outbox:
        filled(outbox)
        outbox.forget(mark(outbox, 3))
        assert outbox.stock.kept > 0
        assert outbox.erase([FORGET]) == (2, 0)
        assert values(tmp_path) == [
            ("cold", 1, (NAME,)),
            ("warm", 1, ("x",)), ("warm", 2, ()), ("warm", 3, ("y",)), ("warm", 4, (NAME,)), ("warm", 5, ()),
        ]  # fmt: skip
        held, kept = outbox.stock.bytes, outbox.stock.kept
        outbox.stock.load()
        assert (outbox.stock.bytes, outbox.stock.kept) == (held, kept), "the numbers are those of the file"
        assert outbox.erase([FORGET]) == (0, 0)


def test_no_byte_of_it_is_left_in_the_file_or_its_log(tmp_path: Path) -> None:
    with core(tmp_path) as outbox:
        commit(outbox, row("x"), row(NAME), row("y"))
        assert on_disk(tmp_path, NAME)
        outbox.erase([FORGET])
        assert not on_disk(tmp_path, NAME)
        assert on_disk(tmp_path, "x")


def test_dead_letters_go_whose_payload_has_the_field_at_any_depth_but_not_later_ones(tmp_path: Path) -> None:
    later = FORGET.erasure.at + 1
    payloads = [
        b'{"who": "Ada Lovelace"}', b'[{"a": {"who": "Ada Lovelace"}}]', b'{"who": "Bob"}',
        b'{"name": "Ada Lovelace"}', b"\xff", msgspec.msgpack.encode({"who": NAME}),
    ]  # fmt: skip
    with core(tmp_path) as outbox:
        outbox.commit([], {}, [*map(letter, payloads), letter(payloads[0], later)])
        before = outbox.dead_bytes
        assert outbox.erase([FORGET]) == (0, 3)
        left = query(tmp_path, "select id, bytes from dead order by id")
        assert [id_ for id_, _ in left] == [3, 4, 5, 7]
        assert outbox.dead_bytes == sum(size for _, size in left) < before


def test_what_the_hub_asks_for_is_carried_out_once_and_said(tmp_path: Path) -> None:
    wall = Wall()
    with core(tmp_path, wall) as outbox:
        filled(outbox)
        tending = Tending(outbox)
        (tmp_path / ERASE).write_bytes(Orders("list-1", (FORGET,)).encode())
        tending.tend()
        assert Erased.decode((tmp_path / ERASED).read_bytes()) == Erased("list-1", 2, 0, wall.now)
        commit(outbox, row(NAME))
    with core(tmp_path, wall) as outbox:
        Tending(outbox).tend()
        assert values(tmp_path)[-1] == ("warm", 6, (NAME,)), "a list that is done is not gone through again"
        (tmp_path / ERASE).write_bytes(Orders("list-2", (FORGET,)).encode())
        Tending(outbox).tend()
        assert Erased.decode((tmp_path / ERASED).read_bytes()).rows == 3
