"""Loading an app file into a fresh module; every mistake becomes one `LoadError` with file, line and cure."""

import hashlib
import importlib
import importlib.util
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import TypeVar

from rimward.app.application import App
from rimward.app.manifest import Manifest
from rimward.events import LoadError

R = TypeVar("R")


def load(target: str) -> App:
    """Load `app.py` or `package.module:app` and return its checked app.

    Raises:
        LoadError: it is not there, does not run, has no app, or breaks a rule.
    """
    module_name, _, attribute = target.partition(":")
    path = Path(module_name)
    if path.suffix == ".py":
        module = _load_file(path)
    else:
        module = _run(lambda: importlib.import_module(module_name), module_name)
    app = _find(module, attribute, target)
    app.check()
    return app


def load_manifest(target: str) -> Manifest:
    """Load an app and return its manifest, with the file's digest."""
    app = load(target)
    path = Path(target.partition(":")[0])
    digest = hashlib.sha256(path.read_bytes()).hexdigest()[:16] if path.suffix == ".py" else ""
    return app.manifest(target, digest)


def _load_file(path: Path) -> ModuleType:
    if not path.is_file():
        raise LoadError(f"there is no file {path}", cure="name the app file: rimward dev app.py")
    folder = str(path.resolve().parent)
    if folder not in sys.path:
        sys.path.insert(0, folder)
    name = f"rimward_app_{path.stem}"
    spec = importlib.util.spec_from_file_location(name, path.resolve())
    assert spec is not None
    assert spec.loader is not None
    loader, module = spec.loader, importlib.util.module_from_spec(spec)
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
            f"syntax error: {error.msg}", file=error.filename or file, line=error.lineno or 0
        ) from None
    except ModuleNotFoundError as error:
        raise LoadError(
            f"it imports {error.name!r}, which is not installed",
            file=file,
            line=_line_in(error, file),
            cure="install it; what only the cloud needs is imported inside the cloud function",
        ) from None
    except Exception as error:
        raise LoadError(
            f"it raises {type(error).__name__}: {error}", file=file, line=_line_in(error, file)
        ) from error


def _line_in(error: BaseException, file: str) -> int:
    wanted = Path(file).resolve()
    lines = [
        frame.lineno for frame in traceback.extract_tb(error.__traceback__) if Path(frame.filename) == wanted
    ]
    return lines[-1] or 0 if lines else 0


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
