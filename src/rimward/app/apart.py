"""What keeps a function from running in a process of its own."""

from rimward.app.codes import assigned_globals
from rimward.app.plan import Plan
from rimward.app.problems import Problem


def check_apart(plan: Plan, run: str) -> None:
    """Refuse what can't run in a process of its own.

    Raises:
        Problem: it assigns globals, or returns many values.
    """
    if run not in {"process", "wasm"}:
        return
    name = plan.function.__name__
    if kept := assigned_globals(plan.function):
        raise Problem(
            f'{name} assigns the global {min(kept)!r}, and run="{run}" has a process of its own that may end '
            "at any time",
            "keep it in a State[T]",
            at=plan.function,
        )
    if plan.streams:
        raise Problem(
            f'{name} returns many values, and run="{run}" sends one answer a call',
            "take run= away, or return one value",
            at=plan.function,
        )
