"""Who asks, and whether they may: CoAP's side of `edge/access`.

A datagram shows nothing but where it came from, a connection by TLS its certificate: everyone else is anyone.
"""

from collections.abc import Callable

from rimward.edge.access import Access, Action, Credentials, Denial, Identity
from rimward.edge.access.identity import DENIALS
from rimward.edge.dispatch.types import Sender
from rimward.edge.gateways.peers import Peer
from rimward.protocols.coap import CoapError, code_of
from rimward.protocols.coap import codes as c

KNOWN = 16_384  # callers that are remembered; beyond it the memory starts anew


class Callers:
    """The callers by their address, or by their certificate."""

    def __init__(self, access: Access | None, clock: Callable[[], int]) -> None:
        """Without `access` everybody may do everything; `clock` is monotonic ns."""
        self.access: Access = access or Access(None, clock)
        self.access.changed.append(self.forget)
        self._known: dict[object, tuple[Identity, Sender]] = {}

    def forget(self) -> None:
        """The rules have changed: who somebody is will be asked anew."""
        self._known.clear()

    def of(self, peer: Peer) -> tuple[Identity, Sender]:
        """Return who a peer is.

        Raises:
            CoapError: 4.01 or another word for a denial.
        """
        key: object = peer.address if peer.certificate is None else peer.certificate
        known = self._known.get(key)
        if known is None:
            if len(self._known) >= KNOWN:
                self._known.clear()
            told: list[Identity | Denial] = []
            self.access.identify(Credentials(peer, client_id=peer.address), told.append)
            [identity] = told  # only passwords take longer, and CoAP shows none
            if isinstance(identity, Denial):
                raise CoapError(identity.detail, code_of(DENIALS[identity.kind].coap))
            known = self._known[key] = identity, Sender(identity.id or peer.address, "coap", identity.user)
        return known

    def check(self, peer: Peer, action: Action, what: str) -> Sender:
        """Return the sender that functions see.

        Raises:
            CoapError: 4.01, nobody has shown who it is, and not everybody may; 4.03, this one may not.
        """
        identity, sender = self.of(peer)
        if not identity.free and (why := self.access.may(identity, action, what)) is not None:
            raise CoapError(why, c.UNAUTHORIZED if identity.anonymous else c.FORBIDDEN)
        return sender
