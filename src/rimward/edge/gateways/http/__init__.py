"""HTTP/1.1 over TCP: the node answers its routes itself, on loopback unless told otherwise."""

from rimward.edge.gateways.http.config import HttpConfig
from rimward.edge.gateways.http.gateway import HttpGateway

__all__ = ["HttpConfig", "HttpGateway"]
