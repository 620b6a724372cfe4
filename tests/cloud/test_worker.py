"""Cloud functions on rows of a real table: each row once, in order; what raises is kept with its reason."""

from pathlib import Path

import pytest

from .functions_support import Cloud


def test_each_row_is_worked_on_once_in_order_also_after_a_restart(tmp_path: Path) -> None:
    cloud = Cloud(tmp_path, """
        @app.cloud(Seen)
        def each(seen: Seen) -> None:
            note(f"{seen.n} {seen.tags}")
    """)  # fmt: skip
    cloud.work()
    cloud.rows(1, 3)
    cloud.work()
    cloud.work()
    cloud.rows(4, 5)
    cloud.rows(1, 2, counter=2, prior=(1, 5))
    cloud.work()
    assert cloud.log() == [f"{n} ['a']" for n in (1, 2, 3, 4, 5, 1, 2)]


def test_a_batch_function_gets_all_that_is_new_at_once(tmp_path: Path) -> None:
    cloud = Cloud(tmp_path, """
        @app.cloud(Seen)
        def all_of_them(seen: list[Seen], lake: Lake) -> None:
            note(f"{[one.n for one in seen]} of {lake.table(Seen).num_rows}")
    """)  # fmt: skip
    cloud.rows(1, 3)
    cloud.work()
    cloud.rows(4, 5)
    cloud.work()
    assert cloud.log() == ["[1, 2, 3] of 3", "[4, 5] of 5"]


def test_a_function_that_raises_is_tried_again_and_then_its_row_is_kept_with_the_reason(
    tmp_path: Path,
) -> None:
    cloud = Cloud(tmp_path, """
        @app.cloud(Seen)
        def fails(seen: Seen) -> None:
            note(seen.n)
            if seen.n == 2:
                raise ValueError("two")
        @app.cloud(Seen)
        def beside(seen: Seen) -> None:
            note(f"beside {seen.n}")
    """)  # fmt: skip
    cloud.rows(1, 3)
    cloud.work()
    assert cloud.log() == ["1", "2", "2", "2", "3", "beside 1", "beside 2", "beside 3"]
    assert cloud.query("select function, node, counter, seq, reason from dead_function") == [
        ("fails", "n1", 1, 2, "ValueError: two")
    ]


def test_a_function_killed_in_the_middle_goes_on_with_the_row_that_it_had(tmp_path: Path) -> None:
    cloud = Cloud(tmp_path, """
        @app.cloud(Seen)
        def each(seen: Seen) -> None:
            note(seen.n)
            if seen.n == 2 and LOG.read_text().count("2") == 1:
                raise KeyboardInterrupt
    """)  # fmt: skip
    cloud.rows(1, 3)
    with pytest.raises(KeyboardInterrupt):
        cloud.work()
    cloud.work()
    assert cloud.log() == ["1", "2", "2", "3"], "at least once"
