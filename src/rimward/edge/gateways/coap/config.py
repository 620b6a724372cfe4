"""What the CoAP gateway allows."""

from msgspec import Struct

from rimward.edge.gateways.admission import RequestRates
from rimward.protocols.coap import BlockLimits, Bounds, ObserveLimits, Timing


class CoapConfig(Struct, frozen=True, forbid_unknown_fields=True):
    """The CoAP gateway of a node. Sizes in bytes, times in seconds."""

    hosts: tuple[str, ...] = ()  # names allowed in Uri-Host besides this machine's own; empty: any
    retry_after: int = 1  # the Max-Age of 5.03
    block: int = 1024  # largest block over datagrams: 16 to 1024, a power of two
    unverified: int = 136  # of a response to a peer whose address is not known to be its own [RFC 9175 §2.4]
    amplification: int = 3  # or so many times what it has sent, if that is more
    verified_for: float = 600.0  # how long an address counts as known
    verified_peers: int = 16_384
    commanded_within: float = 600.0  # since a device was last heard; later it counts as not connected
    etag_from: int = 32  # responses from this size on carry an ETag
    max_connections: int = 4096  # over TCP
    max_message: int = 64 << 10  # over TCP: of one message
    max_unsent: int = 256 << 10  # over TCP: of answers that a slow reader leaves; then it is read no more
    idle_timeout: float = 300.0  # over TCP: without a message, when nothing is observed
    csm_timeout: float = 10.0  # over TCP: for the peer's first message
    write_timeout: float = 30.0  # over TCP: for a slow reader to take what waits
    linger: float = 1.0  # over TCP: for a peer to read why it was cut
    rates: RequestRates = RequestRates()
    timing: Timing = Timing()
    bounds: Bounds = Bounds()
    blocks: BlockLimits = BlockLimits()
    observe: ObserveLimits = ObserveLimits()
