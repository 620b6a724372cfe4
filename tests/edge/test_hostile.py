"""Hostile functions on the loop of a node under its supervisor: stopped, or killed and moved."""

from pathlib import Path

from tests.edge.hostile import KILLS, STOPPED, Node


def test_what_never_ends_is_stopped_and_told_and_the_process_lives_on(tmp_path: Path) -> None:
    with Node(tmp_path) as node:
        pid = node.pid
        node.forward(2)
        for name in STOPPED:
            assert node.ask(f"/{name}")[0] == 504, name
        assert node.ask("/fallback") == (200, b"x")
        node.forward(1)
        assert node.pid == pid
        assert node.buried() == list(STOPPED)
        assert node.forwarded() == 3
        health = node.snapshot("function loop").health
        assert "last at app.py:" in health["function loop"]
        place = node.until("overran")["place"]
        assert place == "" or place.startswith("app.py:")


def test_what_can_not_be_stopped_is_killed_moved_and_named_and_nothing_is_lost(tmp_path: Path) -> None:
    with Node(tmp_path) as node:
        for number, name in enumerate(KILLS[:2], 1):
            node.forward(1)
            since = len(node.events)
            assert node.ask(f"/{name}")[0] == 0
            assert node.until("culprit", since)["function"] == name
            node.until("ready", since)
            node.forward(1)
            assert node.forwarded() == 2 * number
            assert node.placed()[name] == "process"
        health = node.snapshot("function segfault").health
        assert "SIGSEGV" in health["function segfault"]


def test_a_node_that_only_reports_is_not_killed_and_says_what_blocks_it(tmp_path: Path) -> None:
    with Node(tmp_path, hands="report") as node:
        pid = node.pid
        assert node.ask("/sleeps")[0] == 504, "nothing is lost by stopping it softly"
        told = node.until("blocks")
        assert told["function"] == "sleeps"
        assert told["place"].endswith("in sleeps")
        assert node.pid == pid


def test_what_has_killed_the_process_runs_on_in_a_worker_and_kills_nobody(tmp_path: Path) -> None:
    with Node(tmp_path, workers=True) as node:
        node.forward(1)
        since = len(node.events)
        assert node.ask("/leaves")[0] == 0
        node.until("ready", since)
        pid = node.pid
        assert node.ask("/leaves")[0] == 500
        assert node.ask("/leaves")[0] == 500, "it has killed twice: it is not run any more"
        node.forward(1)
        assert (node.pid, node.forwarded()) == (pid, 2)
        assert [function for function in node.buried() if function] == ["leaves", "leaves"]
        assert "runs in a process" in node.snapshot("function leaves").health["function leaves"]
