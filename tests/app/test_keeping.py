"""What `@app.fact` says of how long rows are kept."""

import pytest
from msgspec import Struct

from rimward import App
from rimward.app.manifest import Keeping
from rimward.app.problems import Problem


class Warm(Struct):
    n: int


def app() -> App:
    return App("a", compat="2026-11-01")


def test_what_a_fact_says_of_its_rows_is_in_its_manifest() -> None:
    one = app()
    declare = one.fact(
        retention="365d", max_age="7d", max_bytes="64MiB", when_full="shed-oldest", live_first=True
    )
    declare(Warm)
    (fact,) = one.manifest().facts
    assert fact.keeping == Keeping(365 * 86400.0, 7 * 86400.0, 64 << 20, "shed-oldest", live_first=True)


def test_a_fact_that_says_nothing_is_kept_as_the_node_is_configured() -> None:
    one = app()
    one.fact(Warm)
    assert one.manifest().facts[0].keeping == Keeping()


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"max_bytes": "lots"}, "max_bytes: 'lots' is no size"),
        ({"max_bytes": 0}, "max_bytes: 0 is no number of bytes above zero"),
        ({"retention": 5}, "retention"),
        ({"when_full": "never"}, "when_full is 'never'"),
        ({"priority": "critical", "max_age": "1h"}, "never given up"),
        ({"priority": "critical", "when_full": "shed-lowest"}, "never given up"),
    ],
)
def test_what_makes_no_sense_is_refused_where_it_is_written(options: dict[str, object], said: str) -> None:
    with pytest.raises(Problem, match=said):
        app().fact(**options)  # pyright: ignore[reportCallIssue, reportArgumentType] (wrong on purpose)
