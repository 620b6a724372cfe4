"""What of a new version a node that runs can't take over: then its process is started anew."""

from rimward.app import App
from rimward.app.triggers import Coap, Ws


def why_restart(before: App, after: App, *, coap: bool) -> str | None:
    """Return why the node has to start anew for another version of its app, None where it has not.

    `coap`: the node listens for CoAP.
    """
    if (renamed := _renamed(before, after)) is not None:
        return renamed
    old = {state.name: state for state in before.states.values()}
    for state in after.states.values():
        if (was := old.get(state.name)) is None:
            continue
        if was.durable != state.durable:
            return f"the state {state.name} is durable={state.durable} now"
        if was.expires != state.expires:
            return f"the state {state.name} expires after another time now"
    if not coap and _any(after, Coap):
        return "CoAP is not listened for yet"
    if not _tells_sockets(before) and _tells_sockets(after):
        return "sockets are told of topics now"
    return None


def _renamed(before: App, after: App) -> str | None:
    """Return what has another name now, under which the disk has nothing yet."""
    for old, new in (
        (before.edge_functions, after.edge_functions),
        (before.states.values(), after.states.values()),
        (before.streams.values(), after.streams.values()),
    ):
        names = {one.name for one in old}
        for one in new:
            if one.was in names and one.name not in names:
                return f"{one.was} is called {one.name} now, and what is kept of it moves"
    return None


def _any(app: App, trigger: type) -> bool:
    return any(isinstance(one.trigger, trigger) for one in app.edge_functions)


def _tells_sockets(app: App) -> bool:
    """Tell whether sockets are told what functions publish."""
    return any(isinstance(one.trigger, Ws) and one.trigger.topic is not None for one in app.edge_functions)
