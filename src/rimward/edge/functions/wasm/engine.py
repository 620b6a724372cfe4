"""Wasmtime as all components run in it: compiled ahead of time, stoppable, with WASI that leads nowhere."""

import ctypes
from collections.abc import Callable
from pathlib import Path
from typing import Any

from wasmtime import Config, Engine, Store, WasiConfig, WasmtimeError, _ffi
from wasmtime.component import Component, Func, Linker
from wasmtime.component._types import String

from rimward.events import LoadError

EXPORT = "call"
_TEXT = String()
ffi: Any = _ffi  # not typed in full
_TABLES = 100_000  # entries; CPython has some 10,000
_FIRST = 1  # ticks of the engine's clock until a call is stopped: there is one, when its time is over


def engine() -> Engine:
    """Return an engine; what one compiles another loads."""
    config = Config()
    config.epoch_interruption = True
    config.parallel_compilation = True
    return Engine(config)


def compiled(wasm: bytes) -> bytes:
    """Return a component compiled for this machine, once it is sure that it is of our world.

    Raises:
        LoadError: it is no component, or of another world.
    """
    own = engine()
    try:
        component = Component(own, wasm)
        store = Cell(own, component, 1 << 30, lambda _: None)
    except WasmtimeError as error:
        raise LoadError(
            f"it can't be run: {_first(error)}", cure="build it for the world rimward:edge/edge-function"
        ) from None
    del store
    return bytes(component.serialize())


def loaded(own: Engine, path: Path) -> Component:
    """Return what `compiled` gave; the file must be the node's own, for it is code of this machine.

    Raises:
        WasmtimeError: it is of another version or another machine.
    """
    return Component.deserialize_file(own, str(path))


class Cell:
    """One instance of a component, with memory and tables of its own."""

    def __init__(self, own: Engine, component: Component, memory: int, said: Callable[[bytes], None]) -> None:
        """`memory` is what it may grow to, bytes; `said` gets what it writes to its output.

        Raises:
            WasmtimeError: it imports what is not to be had, or needs more memory at its start.
        """
        self._store = Store(own)
        self._store.set_limits(memory_size=memory, table_elements=_TABLES)
        wasi = WasiConfig()
        wasi.stdout_custom = said
        wasi.stderr_custom = said
        self._store.set_wasi(wasi)
        self._store.set_epoch_deadline(_FIRST)
        with Linker(own) as linker:
            linker.add_wasip2()
            instance = linker.instantiate(self._store, component)
        self._held = _function(instance.get_func(self._store, EXPORT), self._store)
        self._function = ctypes.byref(self._held._func)

    def call(self, request: str) -> str:
        """Run one call: `Func.__call__` without its look at the types, which takes as long as a call.

        Raises:
            WasmtimeError: it was stopped, or broke a rule of the machine; the instance is of no use any more.
        """
        self._store.set_epoch_deadline(_FIRST)
        given = (ffi.wasmtime_component_val_t * 1)()
        found = ffi.wasmtime_component_val_t()
        _TEXT.convert_to_c(self._store, request, ctypes.pointer(given[0]))
        try:
            context = self._store._context()
            error: Any = ffi.wasmtime_component_func_call(
                self._function, context, given, 1, ctypes.byref(found), 1
            )
            if error:
                raise WasmtimeError._from_ptr(error)
        finally:
            ffi.wasmtime_component_val_delete(ctypes.byref(given[0]))
        return str(_TEXT.convert_from_c(found))


def _function(found: Func | None, store: Store) -> Func:
    if found is None:
        raise WasmtimeError(f"it has no function {EXPORT!r}")
    type_ = found.type(store)
    if [one for _, one in type_.params] != [_TEXT] or type_.result != _TEXT:
        raise WasmtimeError(f"its function {EXPORT!r} does not take text and return text")
    return found


def _first(error: WasmtimeError) -> str:
    return str(error).strip().partition("\n")[0]
