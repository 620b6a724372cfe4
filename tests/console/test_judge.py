import pytest
from msgspec.structs import replace

from rimward.cloud.ingest.figures import IngestFigures
from rimward.console.history import History
from rimward.console.judge import problems, sentence, silences
from rimward.console.model import Balance, Link, Process, Seen

from .samples import NOW, SECOND, function, seen, snapshot


def judged(what: Seen, *earlier: Seen) -> tuple[str, list[str]]:
    """Return the sentence and the problems of what is seen, after what was seen before."""
    history = History()
    for one in (*earlier, what):
        if one.snapshot is not None:
            history.add(one.snapshot)
    found = problems(what, history)
    return sentence(what, history, found), [problem.what for problem in found]


def test_a_healthy_node_is_up_and_nothing_is_wrong() -> None:
    said, wrong = judged(seen())
    assert wrong == []
    assert said == "Up. stumble p99 99.3 µs of 5 ms. Nothing waits."


def test_nothing_seen_at_all_is_down() -> None:
    assert judged(Seen(at=NOW))[0] == "Down. No node has written figures yet."


def test_figures_that_stop_are_called_stale_and_the_node_down() -> None:
    said, wrong = judged(seen(at=NOW + 12 * SECOND))
    assert said == "Down. The node's figures are stale for 12 s: it hangs or does not run."
    assert "The uplink's figures are stale for 12 s." in wrong


def test_a_process_that_gives_no_sign_of_life_is_not_called_ready() -> None:
    late = NOW + 12 * SECOND
    here = tuple(
        Process(name, number)
        for number, name in enumerate(("node", "deep", "hub", "ingest", "ingest-2", "bus"), 1)
    )
    healthy = seen(
        at=late, snapshot=snapshot(late), link=Link(connected=True, at=late), processes=here, hub_at=late,
        ingest_at={"ingest": late, "ingest-2": late},
    )  # fmt: skip
    assert (silences(healthy), judged(healthy)[1]) == ({}, [])
    link = Link(connected=True, at=NOW)
    both: dict[str, int | None] = {"ingest": NOW, "ingest-2": NOW}
    silent = replace(healthy, snapshot=snapshot(NOW), link=link, hub_at=NOW, ingest_at=both)
    assert silences(silent) == {"node": 12.0, "deep": 12.0, "hub": 12.0, "ingest": 12.0, "ingest-2": 12.0}
    found = problems(silent, History())
    assert [problem.what for problem in found if problem.grave] == [
        "The node's figures are stale for 12 s: it hangs or does not run.",
        "The hub has given no sign of life for 12 s.",
        "Ingest has given no sign of life for 12 s.",
        "Ingest-2 has given no sign of life for 12 s.",
        "The uplink's figures are stale for 12 s.",
    ]


@pytest.mark.parametrize("name", ["node", "deep", "hub", "ingest"])
def test_a_process_that_has_just_started_is_given_time_for_its_first_sign_of_life(name: str) -> None:
    late = NOW + 12 * SECOND
    young = Process(name, 1, since=late - SECOND)
    fresh = seen(
        at=late, link=Link(connected=True, at=NOW), processes=(young,), hub_at=NOW, ingest_at={"ingest": NOW}
    )
    assert silences(fresh) == {}
    starting = replace(fresh, at=late + 12 * SECOND, processes=(replace(young, state="starting"),))
    assert silences(starting) == {}


def test_a_process_that_was_made_to_stand_still_is_grave() -> None:
    said, wrong = judged(seen(processes=(Process("node", 1), Process("bus", 7, halted=True))))
    assert said.startswith("Up, with 1 error.")
    assert wrong == ["The process bus was made to stand still."]


def test_a_cut_uplink_is_no_outage() -> None:
    link = Link(connected=False, at=NOW)
    said, wrong = judged(seen(link=link, ledger=(Balance("node-1", "motion", 20, 13, 7),)))
    assert said.startswith("Up. ")
    assert said.endswith("7 facts on their way.")
    assert wrong == ["The hub is not connected."]


def test_a_dead_hub_is_a_warning_and_a_dead_node_an_error() -> None:
    hub = judged(seen(processes=(Process("node", 1), Process("hub", None))))
    assert hub[0].startswith("Up. ")
    assert hub[1] == ["The process hub does not run."]
    assert judged(seen(processes=(Process("node", None),)))[0].startswith("Up, with 1 error.")


@pytest.mark.parametrize(("fill", "said"), [(0.79, "Up. "), (0.81, "Up. "), (0.96, "Up, with 1 error.")])
def test_a_full_outbox_becomes_grave_before_it_refuses(fill: float, said: str) -> None:
    filled = seen(snapshot=snapshot(outbox={"bytes": fill * 1e6, "max_bytes": 1e6}))
    assert judged(filled)[0].startswith(said)
    assert bool(judged(filled)[1]) == (fill > 0.8)


def test_a_ledger_that_does_not_balance_is_grave() -> None:
    said, wrong = judged(seen(ledger=(Balance("node-1", "motion", forwarded=20, stored=18, waiting=1),)))
    assert said.startswith("Up, with 1 error.")
    assert wrong == ["The ledger of motion from node-1 is off by 1."]


def test_a_ledger_that_is_not_known_yet_is_not_called_wrong() -> None:
    assert judged(seen(ledger=(Balance("node-1", "motion", 20, None, None),)))[1] == []


def test_facts_that_wait_long_while_the_hub_is_there_are_worth_a_word() -> None:
    slow = (Balance("node-1", "motion", 20, 15, 5, oldest=NOW - 120 * SECOND),)
    assert judged(seen(ledger=slow))[1] == [
        "The oldest fact has waited for 2 min although the hub is connected."
    ]


def test_errors_and_overruns_are_named_while_they_are_recent() -> None:
    before = seen(snapshot=snapshot(NOW - SECOND))
    now = seen(snapshot=snapshot(functions={"stumble": function(errors=2, overruns=1)}))
    assert judged(now, before)[1] == [
        "stumble failed or refused 2 times in the last minute.",
        "stumble went over its budget of 5 ms 1 time in the last minute.",
    ]
    later = [
        replace(now, at=NOW + n * SECOND, snapshot=replace(now.snapshot, at=NOW + n * SECOND), link=None)
        for n in (1, 70, 71)
        if now.snapshot is not None
    ]
    assert judged(later[-1], before, now, *later[:-1])[1] == []


def test_a_function_that_holds_up_its_process_is_named() -> None:
    said, wrong = judged(seen(processes=(Process("node", 1, over="guard"),)))
    assert said.startswith("Up, with 1 error.")
    assert "guard runs past its time and holds up the process node" in str(wrong)


def test_what_became_of_a_function_is_no_error_of_the_node() -> None:
    told = {"function guard": "runs in a process until its code changes"}
    said, wrong = judged(seen(snapshot=snapshot(health=told)))
    assert said.startswith("Up. ")
    assert "function guard: runs in a process until its code changes" in str(wrong)


def test_what_a_part_says_of_its_health_is_shown() -> None:
    assert judged(seen(snapshot=snapshot(health={"outbox": "the disk is full"})))[1] == [
        "outbox: the disk is full."
    ]


def test_the_grave_comes_first() -> None:
    link = Link(connected=False, at=NOW)
    wrong = judged(seen(link=link, snapshot=snapshot(health={"outbox": "broken"})))[1]
    assert wrong == ["outbox: broken.", "The hub is not connected."]


def test_what_ingest_and_the_hub_tell_of_themselves_is_said() -> None:
    ingest = IngestFigures(
        "ingest-2", NOW, commit_p99_ms=612.0, slow=True, gaps=("n1/a", "n1/b", "n2/a", "n2/b", "n3/a"),
        quarantined=("n9",), without_lease=True,
    )  # fmt: skip
    link = Link(connected=True, at=NOW, verdict="quarantined")
    found = problems(seen(ingest=(ingest,), hub_counts={"ledger_off_now": 2}, link=link), History())
    assert [(problem.grave, problem.what) for problem in found] == [
        (True, "The hub takes nothing of this node's outbox (quarantined): another has used its name."),
        (True, "Rows of n1/a came and those before them are missing."),
        (True, "Rows of n1/b came and those before them are missing."),
        (True, "Rows of n2/a came and those before them are missing."),
        (True, "So it is with 2 lanes more."),
        (True, "An outbox of n9 is quarantined: another of that name is live."),
        (True, "The hub's audit found 2 sums of the ledger off."),
        (False, "Commits of ingest-2 are slow: p99 612 ms, half a second is the limit."),
        (False, "Ingest-2 has no lease for its share of the nodes."),
    ]
    fine = seen(ingest=(IngestFigures("ingest", NOW),), hub_counts={"ledger_off_now": 0})
    assert problems(fine, History()) == []


def test_a_disk_with_less_left_than_the_reserve_is_grave() -> None:
    outbox = {"bytes": 10.0, "max_bytes": 1e9, "reserve_used": 1.0, "free_bytes": 3.0 * (1 << 20)}
    [problem] = problems(seen(snapshot=snapshot(outbox=outbox)), History())
    assert (problem.grave, problem.what) == (
        True, "The node's disk has 3.0 MiB left, less than the outbox's reserve."
    )  # fmt: skip
