"""CoAP without I/O: messages [RFC 7252], Observe [7641], blocks [7959], links [6690], streams [8323]."""

from rimward.protocols.coap.blocks import Assemblies, BlockLimits, Representations, Served, etag_of, slice_of
from rimward.protocols.coap.client import ClientExchange
from rimward.protocols.coap.codes import METHODS, CoapError, FormatError, code_of, dotted, name_of
from rimward.protocols.coap.endpoint import Endpoint, Exchange
from rimward.protocols.coap.links import Link
from rimward.protocols.coap.messages import Message, decode, encode
from rimward.protocols.coap.observers import ObserveLimits, Observer, Observers
from rimward.protocols.coap.options import Block, Options, uint, uint_bytes
from rimward.protocols.coap.requests import Asked, asked_of, cache_key, request
from rimward.protocols.coap.stream import StreamSession
from rimward.protocols.coap.timing import SECOND, Bounds, Timing

__all__ = [
    "METHODS",
    "SECOND",
    "Asked",
    "Assemblies",
    "Block",
    "BlockLimits",
    "Bounds",
    "ClientExchange",
    "CoapError",
    "Endpoint",
    "Exchange",
    "FormatError",
    "Link",
    "Message",
    "ObserveLimits",
    "Observer",
    "Observers",
    "Options",
    "Representations",
    "Served",
    "StreamSession",
    "Timing",
    "asked_of",
    "cache_key",
    "code_of",
    "decode",
    "dotted",
    "encode",
    "etag_of",
    "name_of",
    "request",
    "slice_of",
    "uint",
    "uint_bytes",
]
