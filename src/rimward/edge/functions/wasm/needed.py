"""The components that an app needs, made ready; an app without any imports nothing for it."""

from rimward.app import App
from rimward.app.wasm import Component
from rimward.edge.config import NodeConfig


async def components_for(app: App, config: NodeConfig) -> dict[Component, str]:
    """Return where each component is, compiled; what is not there yet is built.

    Raises:
        LoadError: one can't be; the message names its file.
    """
    if all(function.component is None for function in app.edge_functions):
        return {}
    from rimward.edge.functions.wasm.cache import folder_of
    from rimward.edge.functions.wasm.making import components_of, make

    return await make(components_of(app), folder_of(config.workers, config.data))
