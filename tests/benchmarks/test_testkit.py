"""The tests that `./dev bench testkit` measures are tests that pass."""

import io
import json
from contextlib import redirect_stdout

from benchmarks.testkit.__main__ import OFFLINE, TESTS, main


def test_each_measured_test_passes_and_is_told() -> None:
    out = io.StringIO()
    with redirect_stdout(out):
        main(["--json", "--rounds", "1", "--hours", "1"])
    figures = [json.loads(line) for line in out.getvalue().splitlines()]
    assert [figure["figure"] for figure in figures] == [
        *(name for name, *_ in TESTS),
        OFFLINE,
        "import rimward.testing",
    ]
    assert all(figure["value"] > 0 for figure in figures)
