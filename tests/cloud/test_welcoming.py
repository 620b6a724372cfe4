"""Hellos judged: whose a node's name is, whoever asks first, last or twice."""

from pathlib import Path

from rimward.cloud.ingest.releasing import Releases
from rimward.cloud.ingest.welcoming import LIVE, Welcoming
from rimward.wire import Epoch, Hello, Verdict

NOW = 1_795_000_000_000_000_000
SECOND = 1_000_000_000


class Lake:
    """What a lake knows of starts."""

    def __init__(self, **nonces: int) -> None:
        self.nonces = {int(name[1:]): nonce for name, nonce in nonces.items()}  # "c6" is counter 6

    def nonce(self, node: str, counter: int) -> int | None:
        return self.nonces.get(counter) if node == "n1" else None

    def starts(self, node: str) -> dict[int, int]:
        return self.nonces if node == "n1" else {}

    def highest(self, node: str) -> int:
        return max(self.nonces, default=0) if node == "n1" else 0


class Bench:
    def __init__(self, lake: Lake) -> None:
        self.now = NOW
        self.released = dict[str, int]()
        self.welcoming = Welcoming(lambda: "hub-1", lambda: lake)

    def hello(
        self, boot: str, *epochs: tuple[int, int], outbox: str = "o", node: str = "n1"
    ) -> tuple[Verdict, int]:
        hello = Hello(node, "s", boot, outbox, epochs)
        welcome = self.welcoming.answer(hello, (), self.now, self.released.get(node, 0))
        assert (welcome.hub, welcome.at) == ("hub-1", self.now)
        assert bool(welcome.reason) == (welcome.verdict != "ok")
        return welcome.verdict, welcome.highest


def test_a_node_alone_is_welcome_whatever_restarts() -> None:
    bench = Bench(Lake(c5=0xA))
    assert bench.hello("b1", (5, 0xA), (6, 0xB)) == ("ok", 5)
    assert bench.hello("b2", (5, 0xA), (6, 0xB)) == ("ok", 5), "its deep process died"
    assert bench.hello("b2", (6, 0xB), (7, 0xC)) == ("ok", 5), "its writer died"
    assert bench.hello("b3", (8, 0xD)) == ("ok", 5), "all of it died, and what was before is forgotten"
    assert bench.hello("b4", (9, 0xE), outbox="other") == ("ok", 8), "its disk was lost, its counter was not"


def test_a_counter_that_the_lake_knows_with_another_nonce_is_moved_above_every_one() -> None:
    bench = Bench(Lake(c5=0xA, c17=0xB))
    assert bench.hello("b1", (4, 0x1), (5, 0xBAD)) == ("rekey", 17)
    assert bench.hello("b1", (4, 0x1), (5, 0xBAD)) == ("rekey", 17), "until it has done so"
    assert bench.hello("b1", (18, 0xC)) == ("ok", 17)


def test_an_outbox_whose_starts_the_lake_has_all_gone_past_is_an_older_disk() -> None:
    bench = Bench(Lake(c5=0xA, c6=0xB))
    assert bench.hello("b1", (5, 0xA)) == ("rekey", 6), "no counter of its own clashes"
    assert bench.hello("b1", (5, 0xA), (7, 0xC)) == ("ok", 6)


def test_whoever_names_a_start_whose_rows_were_refused_has_to_move_them() -> None:
    bench = Bench(Lake(c5=0xA, c6=0xB))
    assert bench.hello("b1", (5, 0xA), (7, 0xC)) == ("ok", 6)
    bench.welcoming.refuse("n1", Epoch(5, 0xA))
    assert bench.hello("b1", (5, 0xA), (7, 0xC)) == ("rekey", 6)
    assert bench.hello("b1", (5, 0xA), (7, 0xC)) == ("ok", 6), "until they are refused again"


def test_a_node_that_is_to_move_is_told_whose_its_starts_are_and_where_copies_of_them_went() -> None:
    bench = Bench(Lake(c5=0xA, c6=0xB, c9=0xA, c10=-1))
    bench.hello("b0", (8, 0xF), (12, 0xE))
    bench.now += LIVE + SECOND
    hello = Hello("n1", "s", "b1", "o", ((5, 0xA), (6, 0xC), (7, 0xD), (8, 0xE), (10, 0x7)))
    welcome = bench.welcoming.answer(hello, (), bench.now)
    assert welcome.epochs == ((5, 0xA), (6, 0xB), (8, 0xF), (9, 0xA), (10, 0x7))


def test_of_two_live_outboxes_the_second_is_quarantined_until_the_first_is_silent() -> None:
    bench = Bench(Lake(c5=0xA))
    assert bench.hello("b1", (5, 0xA), (6, 0x1)) == ("ok", 5)
    assert bench.hello("b2", (5, 0xA), (6, 0x2)) == ("quarantined", 6)
    assert bench.hello("b1", (5, 0xA), (6, 0x1))[0] == "ok", "the first has done no wrong"
    assert bench.welcoming.quarantined == ["n1"]
    refused = [bench.welcoming.refuses("n1", Epoch(6, nonce)) for nonce in (0x1, 0x2)]
    assert refused == [False, True]
    assert not bench.welcoming.refuses("n1", Epoch(5, 0xA)), "the first has these rows too"
    bench.now += LIVE + SECOND
    assert bench.hello("b2", (5, 0xA), (6, 0x2)) == ("rekey", 6)
    assert bench.welcoming.quarantined == []


def test_the_one_whose_rows_the_lake_has_is_the_first_even_if_it_says_hello_later() -> None:
    bench = Bench(Lake(c6=0x1))
    assert bench.hello("b2", (6, 0x2)) == ("rekey", 6)
    assert bench.hello("b1", (6, 0x1))[0] == "ok"
    assert bench.hello("b2", (6, 0x2)) == ("quarantined", 6)


def test_an_outbox_whose_rows_come_before_its_hello_is_live() -> None:
    """A hub that has just begun knows nobody: the copy's hello may be the first that it hears."""
    bench = Bench(Lake(c6=0x1))
    bench.welcoming.came("n1", Epoch(6, 0x1), NOW)
    assert bench.hello("b2", (6, 0x2)) == ("quarantined", 6)
    bench.now += LIVE + SECOND
    assert bench.hello("b2", (6, 0x2)) == ("rekey", 6), "no row and no hello came since"
    bench.welcoming.came("n1", Epoch(6, 0x1), NOW)
    assert bench.hello("b3", (6, 0x3)) == ("rekey", 6), "rows that were on their way for long say nothing"


def test_of_a_start_that_was_named_hellos_alone_say_whether_it_is_live() -> None:
    bench = Bench(Lake(c6=0x1))
    bench.welcoming.came("n1", Epoch(6, 0x1), NOW)
    assert bench.hello("b1", (6, 0x1)) == ("ok", 6)
    bench.welcoming.came("n1", Epoch(6, 0x1), NOW)
    assert bench.hello("b1", (6, 0x2), outbox="new") == ("rekey", 6), "the same process has lost its disk"


def test_nodes_of_other_names_are_no_concern() -> None:
    bench = Bench(Lake(c5=0xA))
    assert bench.hello("b1", (5, 0xA))[0] == "ok"
    assert bench.hello("b2", (5, 0xB), node="n2") == ("ok", 0)


def test_a_person_lets_a_quarantined_outbox_in_beside_the_live_one_with_starts_of_its_own() -> None:
    bench = Bench(Lake(c5=0xA))
    assert bench.hello("b1", (5, 0xA), (6, 0x1)) == ("ok", 5)
    assert bench.hello("b2", (5, 0xA), (6, 0x2)) == ("quarantined", 6)
    bench.released["n2"] = bench.now
    assert bench.hello("b2", (5, 0xA), (6, 0x2)) == ("quarantined", 6), "another node was released"
    bench.released["n1"] = bench.now
    assert bench.hello("b2", (5, 0xA), (6, 0x2)) == ("rekey", 6)
    assert bench.hello("b2", (7, 0x3)) == ("ok", 6)
    assert bench.hello("b1", (5, 0xA), (6, 0x1))[0] == "ok"


def test_a_release_is_for_those_who_ask_soon(tmp_path: Path) -> None:
    releases = Releases(tmp_path)
    assert releases.at("n1") == 0
    (tmp_path / "hub").mkdir()
    releases.add("n1", NOW)
    releases.add("n2", NOW + 1)
    assert (Releases(tmp_path).at("n1"), releases.at("n2"), releases.at("n3")) == (NOW, NOW + 1, 0)
    bench = Bench(Lake(c5=0xA))
    bench.released["n1"] = bench.now - 61 * SECOND
    assert bench.hello("b1", (5, 0xA), (6, 0x1)) == ("ok", 5)
    assert bench.hello("b2", (5, 0xA), (6, 0x2)) == ("quarantined", 6)
