import io
import json
import logging
from collections.abc import Iterator
from typing import Any

import pytest

from rimward.observe import configure, get_logger
from rimward.observe.logs import BURST, Burst

log = get_logger("rimward.test")


@pytest.fixture(autouse=True)
def logging_as_before() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)


def lines_of(stream: io.StringIO) -> list[dict[str, Any]]:
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def test_a_line_is_one_json_object_with_a_fixed_sentence_and_fields() -> None:
    stream = io.StringIO()
    configure("node", stream=stream)
    log.warning("the outbox is nearly full", fill=0.91, lanes=["a", "b"])
    [line] = lines_of(stream)
    assert line.pop("time").endswith("+00:00")
    assert line == {
        "level": "warning",
        "process": "node",
        "logger": "rimward.test",
        "message": "the outbox is nearly full",
        "fill": 0.91,
        "lanes": ["a", "b"],
    }


def test_personal_values_are_withheld_unless_asked_for() -> None:
    hidden, shown = io.StringIO(), io.StringIO()
    configure("node", stream=hidden)
    log.info("a call came in", pii={"caller": "+49 30 1234"})
    configure("node", stream=shown, show_pii=True)
    log.info("a call came in", pii={"caller": "+49 30 1234"})
    assert lines_of(hidden)[0]["pii.caller"] == "withheld"
    assert "1234" not in hidden.getvalue()
    assert lines_of(shown)[0]["pii.caller"] == "+49 30 1234"


def test_an_error_tells_type_and_place_and_never_quotes_a_payload() -> None:
    stream = io.StringIO()
    configure("node", stream=stream)
    try:
        int("secret")
    except ValueError:
        log.exception("a function failed", function="guard")
        logging.getLogger("asyncio").exception("Exception in callback")
    ours, theirs = lines_of(stream)
    assert (ours["error"], ours["function"]) == ("ValueError", "guard")
    assert ours["at"][0].startswith("test_logs.py:")
    assert theirs["error"] == "ValueError"
    assert "secret" not in stream.getvalue()


def test_a_field_can_not_take_the_place_of_the_line_s_own() -> None:
    stream = io.StringIO()
    configure("node", stream=stream)
    log.info("hello", level="fatal", process="x")
    [line] = lines_of(stream)
    assert (line["level"], line["process"], line["field.level"]) == ("info", "node", "fatal")


def test_a_value_with_line_ends_stays_one_line() -> None:
    stream = io.StringIO()
    configure("node", stream=stream)
    log.info("odd", value="a\nb\r\x1b[31m", other=object)
    assert len(stream.getvalue().splitlines()) == 1
    assert lines_of(stream)[0]["value"] == "a\nb\r\x1b[31m"


def test_below_the_level_nothing_is_written() -> None:
    stream = io.StringIO()
    configure("node", logging.WARNING, stream=stream)
    log.info("quiet")
    log.debug("quieter")
    log.error("loud")
    assert [line["message"] for line in lines_of(stream)] == ["loud"]


def test_a_sentence_that_repeats_is_written_twenty_times_a_second_and_says_what_it_left_out() -> None:
    now = [0.0]
    burst = Burst(lambda: now[0])

    def written(sentence: str) -> logging.LogRecord | None:
        record = logging.LogRecord("x", logging.INFO, "", 0, "%s", (sentence,), None)
        record.fields = {}
        return record if burst.filter(record) else None

    assert sum(written("same") is not None for _ in range(100)) == BURST
    assert written("another") is not None
    now[0] = 1.0
    record = written("same")
    assert record is not None
    assert getattr(record, "left_out", None) == 100 - BURST


def test_a_standard_error_that_is_closed_is_counted_and_not_raised() -> None:
    stream = io.StringIO()
    configure("node", stream=stream)
    handler: Any = logging.getLogger().handlers[0]
    stream.close()
    log.error("into the void")
    assert handler.failures == 1
