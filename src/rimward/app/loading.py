"""Loading an app file into a fresh module; every mistake becomes one `LoadError` with file, line and cure."""

import hashlib
import importlib
import importlib.util
import sys
import traceback
from collections.abc import Callable
from importlib.machinery import SourceFileLoader
from pathlib import Path
from types import CodeType, FunctionType, ModuleType
from typing import TypeVar

from rimward.app.application import App
from rimward.app.declared import FactDeclared, MigrationDeclared, StateDeclared
from rimward.app.later import LATER, later_name
from rimward.app.manifest import Manifest
from rimward.app.problems import Problem, line_of, place_of
from rimward.events import LoadError

R = TypeVar("R")


class FromSource(SourceFileLoader):
    """Reads a module's source, whatever byte code there is of it: that is told apart by seconds and sizes."""

    def get_code(self, fullname: str) -> CodeType:
        """Compile it."""
        path = self.get_filename(fullname)
        code: CodeType = self.source_to_code(self.get_data(path), path)
        return code


def load(target: str) -> App:
    """Load `app.py` or `package.module:app` and return its checked app.

    Raises:
        LoadError: it is not there, does not run, has no app, or breaks a rule.
    """
    module_name, _, attribute = target.partition(":")
    path = Path(module_name)
    module = _load_file(path) if path.suffix == ".py" else _load_module(module_name)
    app = _find(module, attribute, target)
    _run(app.check, module.__file__ or target)
    _check_shadows(app)
    return app


def load_manifest(target: str) -> Manifest:
    """Load an app and return its manifest, with the file's digest."""
    app = load(target)
    path = Path(target.partition(":")[0])
    digest = hashlib.sha256(path.read_bytes()).hexdigest()[:16] if path.suffix == ".py" else ""
    return app.manifest(target, digest)


def _load_module(name: str) -> ModuleType:
    here = str(Path.cwd())
    if here not in sys.path:
        sys.path.insert(0, here)
    if not name or not all(part.isidentifier() for part in name.split(".")):
        raise LoadError(
            f"{name!r} names no module", cure="name the app: rimward dev app.py, or package.module:app"
        )
    return _run(lambda: importlib.import_module(name), name)


def _load_file(path: Path) -> ModuleType:
    if not path.is_file():
        raise LoadError(f"there is no file {path}", cure="name the app file: rimward dev app.py")
    folder = str(path.resolve().parent)
    if folder not in sys.path:
        sys.path.insert(0, folder)
    name = f"rimward_app_{path.stem}"
    loader = FromSource(name, str(path.resolve()))
    spec = importlib.util.spec_from_file_location(name, path.resolve(), loader=loader)
    assert spec is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # annotations are looked up here
    _run(lambda: loader.exec_module(module), str(path))
    return module


def _run(run: Callable[[], R], file: str) -> R:
    try:
        return run()
    except LoadError:
        raise
    except SyntaxError as error:
        raise LoadError(
            f"syntax error: {error.msg}",
            file=error.filename or file,
            line=error.lineno or 0,
            cure="correct that and try again",
        ) from None
    except SystemExit as error:
        raise LoadError(
            f"it ends the interpreter with {error.code!r}",
            file=file,
            cure="an app file only declares: take the exit away",
        ) from None
    except ModuleNotFoundError as error:
        place, line = _users_place(error, file)
        raise LoadError(
            f"it imports {error.name!r}, which is not installed",
            file=place,
            line=line,
            cure="install it; what only the cloud needs is imported inside the cloud function",
        ) from None
    except RecursionError:
        raise LoadError("it calls itself without an end", file=file, cure="end the recursion") from None
    except Exception as error:
        place, line = _users_place(error, file)
        if (name := later_name(error)) is not None:
            raise LoadError(
                f"{name!r} comes with a later version, with {LATER[name]}",
                file=place,
                line=line,
                cure="take it away",
            ) from None
        raise LoadError(
            f"it raises {type(error).__name__}: {error}",
            file=place,
            line=line,
            cure="correct that and try again",
        ) from error


def _users_place(error: BaseException, file: str) -> tuple[str, int]:
    """Return the user's innermost file and line that an error went through."""
    wanted = Path(file).resolve().parent
    frames = [
        frame
        for frame in traceback.extract_tb(error.__traceback__)
        if Path(frame.filename).is_relative_to(wanted) and "site-packages" not in frame.filename
    ]
    if not frames:
        return file, 0
    last = frames[-1]
    return (file if Path(last.filename) == Path(file).resolve() else last.filename), last.lineno or 0


def _check_shadows(app: App) -> None:
    """Refuse a function that hides another of its name: who reads the file takes it for the one that runs."""
    for one in app.declared():
        if isinstance(one, FactDeclared | StateDeclared | MigrationDeclared):
            continue
        declared = one.function
        now = getattr(sys.modules.get(declared.__module__), declared.__name__, declared)
        if now is declared or not isinstance(now, FunctionType):
            continue
        place = place_of(now)
        if now.__code__.co_name == declared.__name__ and place[0] == one.file and place[1] != one.line:
            hidden = line_of((one.file, one.line), place)
            raise Problem(
                f"{declared.__name__} hides the function of the same name in {hidden}",
                "rename one",
                at=place,
            )


def _find(module: ModuleType, attribute: str, target: str) -> App:
    if attribute:
        app = getattr(module, attribute, None)
        if isinstance(app, App):
            return app
        raise LoadError(f"{target}: {attribute!r} is not an App", cure="write app = App(…) and name it")
    found = {name: value for name, value in vars(module).items() if isinstance(value, App)}
    apps = list({id(app): app for app in found.values()}.values())
    if len(apps) == 1:
        return apps[0]
    if not apps:
        raise LoadError("it has no App", file=target, cure='write app = App("name", compat="2026-11-01")')
    names = ", ".join(sorted(found))
    raise LoadError(
        f"it has {len(apps)} apps: {names}", file=target, cure=f"say which: {target}:{min(found)}"
    )
