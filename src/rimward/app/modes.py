"""The modes of functions: what an event does that comes while another is worked on."""

import typing

from rimward.app.declared import EdgeOptions, Mode
from rimward.app.plan import Plan
from rimward.app.problems import Problem

MAX = 10  # as in home automation
_LIMITED = ("queued", "parallel")


def check_mode(plan: Plan, options: EdgeOptions, *, follows: bool) -> None:
    """Refuse a mode that is none, or that a function can't have; `follows` a stream.

    Raises:
        Problem: it is such a mode, or its limit makes no sense.
    """
    name, mode, most, function = plan.function.__name__, options.mode, options.max, plan.function
    modes = typing.get_args(Mode)
    if mode is not None and mode not in modes:
        raise Problem(f"edge: mode is {mode!r}", f"write one of {', '.join(modes)}", at=function)
    if most is not None and mode not in _LIMITED:
        raise Problem(
            f"{name}: max= is for the modes queued and parallel", "name one, or take it away", at=function
        )
    if most is not None and (type(most) is not int or most < 1):
        raise Problem(f"{name}: max is {most!r}", "write a whole number from 1 on: max=10", at=function)
    if mode == "parallel" and plan.takes("state"):
        raise Problem(
            f'{name}: mode="parallel" and State exclude each other',
            "a cell belongs to one call at a time: take one of them away",
            at=function,
        )
    if follows and mode in {"queued", "restart"}:
        raise Problem(
            f'{name}: mode="{mode}" behind a stream, whose values do not wait',
            'write mode="single" or mode="parallel"',
            at=function,
        )
