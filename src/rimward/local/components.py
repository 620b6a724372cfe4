"""Components of an app, made before its node starts: a minute of work and every mistake belong there."""

from collections.abc import Callable
from pathlib import Path

from rimward.app.manifest import Manifest
from rimward.app.wasm import Component
from rimward.edge.functions.wasm.making import make, missing
from rimward.events import LoadError
from rimward.local.checking import AppMistake
from rimward.local.loading import Mistake


async def make_components(manifest: Manifest, folder: Path, note: Callable[[str], None]) -> None:
    """Have all components of an app built and compiled that are not yet; `note` tells of those.

    Raises:
        AppMistake: one can't be.
    """
    files = dict.fromkeys(one.component for one in manifest.functions if one.component is not None)
    components = [Component(file, "module" if file.endswith(".py") else "component") for file in files]
    if not components:
        return
    try:
        if names := [Path(one.file).name for one in await missing(components, folder)]:
            note(f"making {', '.join(names)} ready for WebAssembly: that takes up to a minute, once")
        await make(components, folder)
    except LoadError as error:
        mistake = Mistake(error.message, error.file, error.line, error.cure, error.code)
        raise AppMistake(mistake) from None
