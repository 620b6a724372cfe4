"""CoAP over UDP and TCP: devices' requests run functions, and what functions return can be observed."""

from rimward.edge.gateways.coap.config import CoapConfig
from rimward.edge.gateways.coap.gateway import CoapGateway

__all__ = ["CoapConfig", "CoapGateway"]
