"""The table of mutants fits the source; that each is killed is tried by `./dev soak mutants` (minutes)."""

import pytest
from tests.faults.mutants import MUTANTS, ROOT, Mutant


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda one: one.name)  # pyright: ignore[reportUnknownLambdaType, reportUnknownMemberType, reportUnknownArgumentType] (pytest calls it with the parameter)
def test_a_mutants_text_is_in_the_source_once_and_its_change_compiles(mutant: Mutant) -> None:
    text = (ROOT / "src" / "rimward" / mutant.file).read_text()
    assert text.count(mutant.old) == 1
    compile(text.replace(mutant.old, mutant.new), mutant.file, "exec")
    assert all((ROOT / test).exists() for test in mutant.tests)
