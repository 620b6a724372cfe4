"""A function in WebAssembly, as its worker calls it: one instance, replaced when a call breaks it."""

from collections.abc import Callable
from pathlib import Path
from time import monotonic_ns
from typing import Any

from msgspec import Struct
from wasmtime import WasmtimeError

from rimward.app.effects import current
from rimward.app.facts import Fact
from rimward.edge.functions.calls import ForeignError
from rimward.edge.functions.wasm.crossing import Request, encode, read, take
from rimward.edge.functions.wasm.deadline import Deadline
from rimward.edge.functions.wasm.engine import Cell, engine, loaded

SAID = 8192  # bytes of one call's output that are logged
ANSWER = 16 << 20  # characters that a result may have
_INTERRUPTED = "wasm trap: interrupt"


class Limits(Struct, frozen=True):
    """What one call may take."""

    memory: int  # bytes that the instance may grow to
    time: int  # ns


class Cage:
    """Runs the calls of one function; nothing that its code does reaches further than its instance."""

    def __init__(
        self,
        function: str,
        names: tuple[str, ...],
        facts: dict[type[Struct], Fact],
        limits: Limits,
        said: Callable[[str], None],
    ) -> None:
        """`names` are those of the parameters; `said` gets what the code writes to its output."""
        self._function = function
        self._names = names
        self._facts = {fact.spec.name: type_ for type_, fact in facts.items()}
        self._limits = limits
        self._said = said
        self._printed = 0  # bytes, in this call
        self._cell: Cell | None = None

    def open(self, path: Path) -> None:
        """Load the compiled component, and make the first instance.

        Raises:
            WasmtimeError: it is of another version or another machine, or needs more memory than it gets.
        """
        self._engine = engine()
        self._component = loaded(self._engine, path)
        self._deadline = Deadline(self._limits.time, self._engine.increment_epoch)
        self._cell = self._made()

    def close(self) -> None:
        """Let go of the instance."""
        self._cell = None
        self._deadline.close()

    def _made(self) -> Cell:
        return Cell(self._engine, self._component, self._limits.memory, self._output)

    def call(self, *arguments: Any) -> Any:
        """Run one call.

        Raises:
            ForeignError: its code raised, took too long or too much, or returned what is no result.
            Reject: it refuses its message.
        """
        effects = current.get()
        given = dict(zip(self._names, arguments, strict=True))
        request = encode(Request(self._function, effects.now(), given)).decode()
        self._printed = 0
        answer = self._answer(request)
        if len(answer) > ANSWER:
            raise ForeignError(
                "ValueError", f"its result has {len(answer)} characters, the limit is {ANSWER}", "?"
            )
        return take(read(answer), effects, self._facts)

    def _answer(self, request: str) -> str:
        """Return the result's text; a call that is stopped before its time was over begins again, once."""
        for last in (False, True):
            if self._cell is None:
                self._cell = self._made()
            begun = self._deadline.begin()
            try:
                return self._cell.call(request)
            except WasmtimeError as error:
                self._cell = None
                interrupted = _INTERRUPTED in str(error)
                if interrupted and not last and monotonic_ns() - begun < self._limits.time:
                    continue  # meant for the call before, which ended in that moment; nothing has left
                raise self._broken(error, stopped=interrupted) from None
            finally:
                self._deadline.end()
        raise AssertionError

    def _broken(self, error: WasmtimeError, *, stopped: bool) -> ForeignError:
        if stopped:
            seconds = self._limits.time / 1e9
            return ForeignError(
                "Stopped", f"it took longer than its limit of {seconds:g} s", "?", stopped=True
            )
        return ForeignError("Trap", str(error).strip().rpartition("\n")[2].strip(), "?")

    def _output(self, data: bytes) -> None:
        """Log what the code writes; what is too much of one call is left out, and that is told once."""
        before, self._printed = self._printed, self._printed + len(data)
        if before < SAID:
            self._said(data[: SAID - before].decode(errors="replace"))
            if self._printed >= SAID:
                self._said(f"(the rest of this call's output is left out: {SAID} bytes are kept)")
