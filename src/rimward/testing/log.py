"""What functions made of a recording's events, in an order that says nothing of who was faster."""

from collections import Counter, defaultdict
from collections.abc import Collection, Iterator

from msgspec import Struct

from rimward.wire.recording import Action, Answered, Command, Effect, Input, Stored, encode

AFTER = 1 << 62  # where effects of no event stand


class Log:
    """The effects of each event: by event, then by kind and name, then as they came."""

    def __init__(self) -> None:
        self.events: dict[int, Input] = {}
        self._effects: defaultdict[int, list[Effect]] = defaultdict(list)

    def event(self, line: Input) -> None:
        """Take what came in."""
        self.events[line.n] = line

    def effect(self, line: Effect) -> None:
        """Take what came of it."""
        self._effects[line.of].append(line)

    def leave_out(self, numbers: Collection[int]) -> None:
        """Forget some events, and what came of them."""
        for number in numbers:
            self.events.pop(number, None)
            self._effects.pop(number, None)

    def of(self, number: int) -> list[Effect]:
        """Return an event's effects; those of none for 0."""
        return sorted(self._effects.get(number, ()), key=_rank)

    def numbers(self) -> set[int]:
        """Return the events that had effects, 0 among them for those of none."""
        return set(self._effects)

    def __bytes__(self) -> bytes:
        numbers = sorted(self._effects, key=lambda number: number or AFTER)
        return b"".join(encode(effect) for number in numbers for effect in self.of(number))


class Difference(Struct, frozen=True):
    """One event of which two codes make something else."""

    event: Input | None  # None: of no event, such as windows that closed by the clock
    gone: tuple[Effect, ...]
    new: tuple[Effect, ...]


class Outcome(Struct, frozen=True):
    """A replay's log, and what it is held against."""

    log: Log
    recorded: Log  # what the node did
    left_out: int  # events without their payload
    state: str  # whether the recording has the node's cells, as `Begun` says
    complete: bool  # whether it has its end

    def differences(self, before: Log | None = None) -> Iterator[Difference]:
        """Yield where the log is another than the recorded one, or than `before`."""
        old = self.recorded if before is None else before
        for number in sorted(old.numbers() | self.log.numbers(), key=lambda number: number or AFTER):
            gone, new = _apart(old.of(number), self.log.of(number))
            if gone or new:
                yield Difference(old.events.get(number) or self.log.events.get(number), gone, new)


def _apart(old: list[Effect], new: list[Effect]) -> tuple[tuple[Effect, ...], tuple[Effect, ...]]:
    """Return what is in the one and not in the other; the same in another order counts on both sides."""
    before, after = list(map(encode, old)), list(map(encode, new))
    if before == after:
        return (), ()
    if Counter(before) == Counter(after):
        return tuple(old), tuple(new)
    return _left(old, before, after), _left(new, after, before)


def _left(effects: list[Effect], own: list[bytes], others: list[bytes]) -> tuple[Effect, ...]:
    there = Counter(others)
    left: list[Effect] = []
    for effect, text in zip(effects, own, strict=True):
        if there[text]:
            there[text] -= 1
        else:
            left.append(effect)
    return tuple(left)


def _rank(effect: Effect) -> tuple[int, str]:
    match effect:
        case Action():
            return 0, effect.topic
        case Command():
            return 1, f"{effect.device}/{effect.name}"
        case Stored():
            return 2, effect.fact
        case Answered():
            return 3, ""
