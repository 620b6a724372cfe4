"""Plain functions stay plain: a unit test calls them and looks at their effects."""

from datetime import UTC, datetime
from typing import assert_type

import pytest
from msgspec import Struct

from rimward import NoNode, State
from rimward.testing import Published, effects, state

from .cold_chain import Reading, TooWarm, Truck, app, guard
from .workshop import Beat, beat

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)


def test_what_a_function_publishes_and_forwards_is_there_in_order() -> None:
    truck = state(Truck)
    with effects(app) as fx:
        guard("7", Reading(9.5, NOON), truck)
    assert fx.published == [Published("trucks/7/chiller", {"mode": "max"}, 0, retain=False)]
    assert fx.forwarded == [TooWarm("7", 9.5)]
    assert truck.value == Truck(9.5, 1)


def test_a_state_starts_with_its_defaults_or_with_the_value_given() -> None:
    fresh, used = state(Truck, key="7"), state(Truck(4.0, 3))
    assert_type(fresh, State[Truck])
    assert_type(used, State[Truck])
    assert (fresh.key, fresh.value) == ("7", Truck())
    with effects():
        guard("7", Reading(9.5, NOON), used)
    assert used.value == Truck(9.5, 4)
    assert used.changed() == Truck(9.5, 4)


def test_an_effect_where_nothing_catches_it_raises_no_node() -> None:
    with pytest.raises(NoNode, match=r"app\.publish was called outside a node"):
        guard("7", Reading(9.5, NOON), state(Truck))
    with effects():
        pass
    with pytest.raises(NoNode):
        app.forward(TooWarm("7", 9.5))


def test_what_is_changed_after_it_was_published_does_not_change_what_was() -> None:
    payload = {"mode": "max"}
    with effects() as fx:
        app.publish("a", payload)
        payload["mode"] = "off"
    assert fx.published[0].payload == {"mode": "max"}


def test_payloads_are_read_as_an_inbox_reads_them() -> None:
    with effects() as fx:
        for payload in (Reading(9.5, NOON), "words", b"\xff"):
            app.publish("a", payload, qos=1, retain=True)
    assert [one.payload for one in fx.published] == [
        {"celsius": 9.5, "at": "2026-01-01T12:00:00Z"},
        "words",
        b"\xff",
    ]
    assert (fx.published[0].qos, fx.published[0].retain) == (1, True)


def test_what_a_node_would_refuse_is_refused_in_a_unit_test_too() -> None:
    class Stranger(Struct):
        name: str

    with effects(app), pytest.raises(TypeError, match="Stranger is not a fact"):
        app.forward(Stranger("x"))
    with effects() as fx, pytest.raises(TypeError, match="object"):
        app.publish("a", object())
    assert fx.published == []


def test_the_clock_of_a_unit_test_stands_where_it_was_set() -> None:
    with effects(now=NOON) as fx:
        beat()
        fx.time = datetime(2026, 1, 2, tzinfo=UTC)
        beat()
    assert fx.forwarded == [Beat(NOON), Beat(datetime(2026, 1, 2, tzinfo=UTC))]


def test_inner_effects_keep_what_is_theirs_from_the_outer_ones() -> None:
    with effects() as outer:
        with effects() as inner:
            app.publish("inner", "1")
        app.publish("outer", "2")
    assert [one.topic for one in inner.published] == ["inner"]
    assert [one.topic for one in outer.published] == ["outer"]
