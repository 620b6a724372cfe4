"""A node's workers: made where a zygote is to come, refused where a function needs what is not there."""

import os
import socket
from collections.abc import Mapping

from rimward.app import App
from rimward.app.wasm import Component
from rimward.edge.config import NodeConfig
from rimward.edge.dispatch import Dispatcher
from rimward.edge.functions.workers import Place, Workers
from rimward.events import LoadError


def workers_of(
    app: App,
    config: NodeConfig,
    dispatcher: Dispatcher,
    listener: socket.socket | None,
    environ: Mapping[str, str],
    components: Mapping[Component, str],
) -> Workers | None:
    """Return a node's workers, employed; None where no zygote is to come and no function needs one.

    Raises:
        LoadError: a function needs one, or the configuration names one that is not there.
    """
    if listener is None:
        check_workers(app)
        return None
    place = Place(config.app, _hidden(config, environ), components)
    workers = Workers(app, config.workers, place, dispatcher.settings, environ)
    dispatcher.employ(workers)
    workers.listen(listener)
    return workers


def check_workers(app: App) -> None:
    """Tell whether an app can run without workers.

    Raises:
        LoadError: a function needs one.
    """
    for function in app.edge_functions:
        if function.run in {"process", "wasm"}:
            raise LoadError(
                f'{function.name}: run="{function.run}", and this node was started without a zygote',
                file=function.file,
                line=function.line,
                cure="start it by rimward dev or rimward node run",
            )


def _hidden(config: NodeConfig, environ: Mapping[str, str]) -> tuple[str, ...]:
    """Return what no worker may read: the node's data, and files with keys or secrets."""
    paths = [config.data, config.access, config.settings, environ.get("RIMWARD_CONFIG", "")]
    for listener in config.listeners.values():
        if listener.tls is not None:
            paths += [one.key for one in listener.tls.certificates]
    return tuple(os.path.realpath(path) for path in paths if path)
