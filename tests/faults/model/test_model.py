"""The protocol's design explored step by step; with any one of its rules turned off, a promise is broken."""

import pytest

from .explore import Found, explore
from .sizes import MUTANTS, SMALL, without
from .world import Rules


@pytest.mark.parametrize("name", SMALL)
def test_no_order_of_steps_and_faults_breaks_a_promise(name: str) -> None:
    found = explore(Rules(), SMALL[name])
    assert isinstance(found, int), found
    assert found > 500, "the size is too small to show anything"


def test_every_rule_of_the_design_has_its_mutant() -> None:
    assert set(Rules._fields) == set(MUTANTS)


@pytest.mark.parametrize("rule", MUTANTS)
def test_without_a_rule_a_way_to_break_a_promise_is_found(rule: str) -> None:
    found = explore(without(rule), MUTANTS[rule])
    assert isinstance(found, Found)
    assert found.path, "not in the first moment, but by steps that can be read"
