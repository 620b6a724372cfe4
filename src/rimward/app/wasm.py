"""Functions in WebAssembly: which file has the code, and what keeps a function from running there."""

import ast
import sys
from pathlib import Path
from typing import Literal

from msgspec import Struct

from rimward.app.confine import Confine
from rimward.app.declared import EdgeDeclared, EdgeOptions
from rimward.app.plan import Kind, Plan
from rimward.app.problems import Problem

GUEST = "rimward.guest"  # the one module of ours that code in a component may import
ENTRY = "rimward_component"  # the module that a component is built from
_HEAD = b"\0asm\x0d\0\x01\0"  # of a component; a core module's fifth byte is 1
_TAKEN: tuple[Kind, ...] = ("capture", "query", "event", "device", "payload")
_ELSEWHERE = 'write run="process"'


class Component(Struct, frozen=True):
    """The file with a function's code."""

    file: str
    kind: Literal["module", "component"]


def component_of(one: EdgeDeclared, plan: Plan) -> Component | None:
    """Return the file with the code of a function that runs in WebAssembly; None for one that does not.

    Raises:
        Problem: there is none, or the function asks for what is not to be had there.
    """
    options, name = one.options, plan.function.__name__
    given = {"module": options.module, "component": options.component}
    named = [word for word, file in given.items() if file is not None]
    if options.run != "wasm":
        if named:
            raise Problem(
                f'{name}: {named[0]}= has the code of a function with run="wasm", and this one has '
                f'run="{options.run}"',
                'write run="wasm", or take it away',
                at=plan.function,
            )
        return None
    if len(named) != 1:
        raise Problem(
            f'{name}: run="wasm" runs the code of a file of its own, and {len(named) or "none"} is named',
            'write module="rules.py" or component="rules.wasm"',
            at=plan.function,
        )
    _check_function(plan, options)
    path = Path(one.file).parent / str(given[named[0]])
    if not path.is_file():
        raise Problem(f"{name}: there is no file {path}", f"correct {named[0]}=", at=plan.function)
    if named[0] == "module":
        _check_module(path, plan)
        return Component(str(path), "module")
    _check_component(path, plan)
    return Component(str(path), "component")


def _check_function(plan: Plan, options: EdgeOptions) -> None:
    """Refuse a function that asks for what a component does not have."""
    function, name = plan.function, plan.function.__name__
    if plan.is_async:
        raise Problem(f"{name}: a component's functions do not wait", "write def", at=function)
    for parameter in plan.parameters:
        if parameter.kind not in _TAKEN:
            raise Problem(
                f"{name}: {parameter.name!r} is of the node's, and what goes into a component is JSON",
                f"take it away, or {_ELSEWHERE}",
                at=function,
            )
    code = function.__code__
    constants = (None, ..., function.__doc__)
    if code.co_names or any(one not in constants for one in code.co_consts):
        raise Problem(
            f"{name}: its body is never run, for its code is in a file of its own",
            "write ... as its body",
            at=function,
        )
    confine, usual = options.confine or Confine(), Confine()
    for word in ("network", "read", "write", "environment", "processes", "cpu"):
        if getattr(confine, word) != getattr(usual, word):
            raise Problem(
                f"{name}: confine: a component has no {word}, whatever is asked for",
                f"take {word}= away, or {_ELSEWHERE}",
                at=function,
            )


def _check_component(path: Path, plan: Plan) -> None:
    with path.open("rb") as file:
        head = file.read(len(_HEAD))
    if head != _HEAD:
        what = "a core module" if head.startswith(_HEAD[:4]) else "no WebAssembly"
        raise Problem(
            f"{plan.function.__name__}: {path} is {what}, not a component",
            "build it for the world rimward:edge/edge-function",
            at=plan.function,
        )


# -- modules in Python


def sources_of(path: Path) -> dict[str, bytes]:
    """Return a module and those beside it that it imports, by their file names.

    Raises:
        Problem: one can't be read as Python, or imports what a component does not have.
    """
    found: dict[str, bytes] = {}
    waiting = [path]
    while waiting:
        file = waiting.pop()
        if file.name not in found:
            found[file.name] = file.read_bytes()
            waiting += _beside(file, _parsed(file))
    return found


def _parsed(file: Path) -> ast.Module:
    try:
        return ast.parse(file.read_bytes(), str(file))
    except SyntaxError as error:
        raise Problem(
            f"syntax error: {error.msg}", "correct that and try again", at=(str(file), error.lineno or 0)
        ) from None
    except ValueError as error:
        raise Problem(f"it is no Python: {error}", "correct that", at=(str(file), 1)) from None


def _beside(file: Path, tree: ast.Module) -> list[Path]:
    """Return the modules that lie beside a file and that it imports; refuse what is no part of Python."""
    found: list[Path] = []
    for node in ast.walk(tree):
        for name in _imported(node):
            top = name.partition(".")[0]
            other = file.with_name(f"{top}.py")
            if name == GUEST or top in sys.stdlib_module_names:
                continue
            if not other.is_file():
                raise Problem(
                    f"it imports {name!r}, and a component has the standard library and {GUEST} alone",
                    f"take the import away, or {_ELSEWHERE}",
                    at=(str(file), getattr(node, "lineno", 0)),
                )
            found.append(other)
    return found


def _imported(node: ast.AST) -> list[str]:
    if isinstance(node, ast.Import):
        return [one.name for one in node.names]
    if isinstance(node, ast.ImportFrom):
        if node.module == "rimward" and [one.name for one in node.names] == ["guest"]:
            return [GUEST]
        return [node.module or "."]
    return []


def _check_module(path: Path, plan: Plan) -> None:
    """Refuse a module that does not have the function, with its parameters."""
    name = plan.function.__name__
    if path.suffix != ".py" or not path.stem.isidentifier() or path.stem in {ENTRY, "rimward"}:
        raise Problem(
            f"{name}: {path.name} is no name of a module of yours", "name it rules.py", at=plan.function
        )
    sources_of(path)
    found = [
        node
        for node in _parsed(path).body
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name == name
    ]
    if not found:
        raise Problem(
            f"{name}: {path} has no function of this name", f"write def {name}(…) there", at=plan.function
        )
    node = found[-1]
    place = (str(path), node.lineno)
    if isinstance(node, ast.AsyncFunctionDef):
        raise Problem(f"{name}: a component's functions do not wait", "write def", at=place)
    wanted = [parameter.name for parameter in plan.parameters]
    has = [one.arg for one in (*node.args.args, *node.args.kwonlyargs)]
    if node.args.posonlyargs or (sorted(has) != sorted(wanted) and node.args.kwarg is None):
        raise Problem(
            f"{name} takes ({', '.join(has)}) here and ({', '.join(wanted)}) in the app",
            "give both the same parameters",
            at=place,
        )
