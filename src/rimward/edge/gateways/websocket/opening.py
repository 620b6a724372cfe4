"""Out of HTTP: an upgrade request becomes a socket for a function, or one that carries MQTT.

Who may call (Host, Origin, identity) has been decided by then, as for any request.
"""

import asyncio
from collections.abc import Callable
from typing import NamedTuple

from msgspec.structs import replace

from rimward.edge.access import Identity
from rimward.edge.dispatch.types import Door, Reply, Sender
from rimward.edge.gateways.http.entering import MQTT_PATH
from rimward.edge.gateways.http.problems import problem_reply
from rimward.edge.gateways.peers import Peer
from rimward.edge.gateways.websocket.connection import Gate, WebSocketConnection
from rimward.edge.gateways.websocket.conversation import SUBPROTOCOLS, Conversation
from rimward.edge.gateways.websocket.framed import SUBPROTOCOL, FramedTransport
from rimward.edge.gateways.websocket.topics import Topics
from rimward.protocols.http import HttpError, HttpRequest
from rimward.protocols.websocket import Opening, opening_of


class Wanted(NamedTuple):
    """What a socket will be."""

    opening: Opening
    subprotocol: str | None
    topic: str | None  # whose actions it is told
    mqtt: bool


class Arrival(NamedTuple):
    """Who asks, and over what."""

    request: HttpRequest
    transport: asyncio.Transport
    peer: Peer
    sender: Sender
    lines: bytes  # header lines that the answer gets
    identity: Identity | None  # None where everybody may


class Way(NamedTuple):
    """Where sockets lead."""

    door: Door
    topics: Topics
    mqtt: Callable[[], asyncio.Protocol] | None  # makes an MQTT connection


def wanted_of(request: HttpRequest, way: Way) -> Wanted | Reply | None:
    """Return what a request asks for, or why it can't have that; None where nothing opens sockets there."""
    is_mqtt = request.path == MQTT_PATH and way.mqtt is not None
    found = None if is_mqtt else way.door.socket(request.path)
    if not is_mqtt and found is None:
        return None
    try:
        opening = opening_of(request.headers)
    except HttpError as error:
        headers = {"sec-websocket-version": "13"} if error.status == 426 else None
        return problem_reply(error.status, error.detail, "invalid", headers)
    if is_mqtt:
        if SUBPROTOCOL not in opening.subprotocols:
            return problem_reply(400, f"the subprotocol {SUBPROTOCOL} must be asked for", "invalid")
        return Wanted(opening, SUBPROTOCOL, None, mqtt=True)
    assert found is not None
    if found.topic is not None and way.topics.is_full(found.topic):
        return problem_reply(503, "too many sockets are told of this topic", "busy", {"retry-after": "1"})
    return Wanted(opening, opening.choose(SUBPROTOCOLS), found.topic, mqtt=False)


def open_socket(gate: Gate, way: Way, arrival: Arrival, wanted: Wanted) -> WebSocketConnection:
    """Answer an upgrade and return the socket that it has become."""
    request, transport = arrival.request, arrival.transport
    connection = WebSocketConnection(gate, transport, replace(arrival.sender, protocol="ws"), arrival.peer)
    connection.path, connection.identity = request.path, arrival.identity
    transport.set_protocol(connection)
    transport.write(wanted.opening.answer(wanted.subprotocol, arrival.lines))
    if wanted.mqtt:
        assert way.mqtt is not None
        framed = FramedTransport(connection)
        connection.handler = framed
        framed.carry(way.mqtt())
    else:
        conversation = Conversation(connection, way.door, request, wanted.subprotocol)
        connection.handler = conversation
        if wanted.topic is not None:
            conversation.follow(way.topics, wanted.topic)
    return connection
