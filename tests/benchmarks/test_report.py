"""What a benchmark prints, and that a missed bar is said."""

import io
import json

from benchmarks.report import Bar, Figure, all_met, print_json, print_table

GOOD = Figure("p50", 40.25, "us", Bar("<=", 60), (38, 44.5), {"rival": 120.4})
BAD = Figure("rate", 1.5, "x", Bar(">=", 2.0))
TOLD = Figure("p99", 1234.5, "us")
MISSING = Figure("p99, to rival", None, "x", Bar("<=", 0.4))


def table(*figures: Figure) -> list[str]:
    out = io.StringIO()
    print_table(figures, out)
    return out.getvalue().splitlines()


def test_a_value_on_its_bar_meets_it() -> None:
    assert Bar("<=", 2.0).holds(2.0)
    assert Bar(">=", 2.0).holds(2.0)
    assert not Bar("<=", 2.0).holds(2.01)
    assert not Bar(">=", 2.0).holds(1.99)


def test_the_table_says_which_bars_are_missed_and_how_many_are_met() -> None:
    _, good, bad, told, missing, sum_ = table(GOOD, BAD, TOLD, MISSING)
    assert good.split("  ")[0] == "p50"
    assert "40.2 us" in good
    assert "38.0 .. 44.5" in good
    assert good.endswith("met     rival 120")
    assert "1.50 x" in bad
    assert ">= 2.00  MISSED" in bad
    assert "1,234 us" in told or "1,235 us" in told
    assert "met" not in told.lower()
    assert "not measured" in missing
    assert missing.endswith("MISSED")
    assert sum_ == "1 of 3 bars met"


def test_what_was_not_measured_meets_no_bar() -> None:
    assert all_met([GOOD, TOLD])
    assert not all_met([GOOD, BAD])
    assert not all_met([GOOD, MISSING])


def test_json_is_one_object_a_figure() -> None:
    out = io.StringIO()
    print_json([GOOD, MISSING, TOLD], out)
    good, missing, told = map(json.loads, out.getvalue().splitlines())
    assert good == {
        "figure": "p50",
        "value": 40.25,
        "unit": "us",
        "bar": "<= 60.0",
        "met": True,
        "spread": [38, 44.5],
        "peers": {"rival": 120.4},
    }
    assert (missing["value"], missing["met"]) == (None, False)
    assert (told["bar"], told["met"]) == (None, None)
