"""The operators that one item at a time goes through."""

from rimward.streams.holding import Debounce, Ordered
from rimward.streams.scores import Ewma, Hampel
from rimward.streams.sifting import Change, Deadband, Dedupe, Throttle
from rimward.streams.stateless import Filter, FlatMap, Map

__all__ = [
    "Change",
    "Deadband",
    "Debounce",
    "Dedupe",
    "Ewma",
    "Filter",
    "FlatMap",
    "Hampel",
    "Map",
    "Ordered",
    "Throttle",
]
