"""WebSocket without I/O: the server's side of a connection [RFC 6455]."""

from rimward.protocols.websocket.handshake import Opening, opening_of
from rimward.protocols.websocket.session import WebSocketMessage, WebSocketSession

__all__ = ["Opening", "WebSocketMessage", "WebSocketSession", "opening_of"]
