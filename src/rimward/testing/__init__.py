"""Tests of apps: `effects` for plain functions, `Site` for node, hub and link in memory."""

from rimward.edge.outbox import DeadLetter
from rimward.protocols.mqtt import Properties
from rimward.testing.coap import Coap, CoapResponse, Observation
from rimward.testing.device import Ack, Device
from rimward.testing.errors import CloudMissing, SiteClosed
from rimward.testing.http import Http, Response
from rimward.testing.inbox import Inbox, NothingCame, Received
from rimward.testing.ledger import Ledger
from rimward.testing.link import Uplink
from rimward.testing.site import Site
from rimward.testing.unit import Captured, Published, effects, state

__all__ = [
    "Ack",
    "Captured",
    "CloudMissing",
    "Coap",
    "CoapResponse",
    "DeadLetter",
    "Device",
    "Http",
    "Inbox",
    "Ledger",
    "NothingCame",
    "Observation",
    "Properties",
    "Published",
    "Received",
    "Response",
    "Site",
    "SiteClosed",
    "Uplink",
    "effects",
    "state",
]
