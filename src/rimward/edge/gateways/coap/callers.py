"""Who asks, and whether they may: CoAP's side of `edge/access`.

A message by OSCORE shows whose keys have opened it, a connection by TLS its certificate. A datagram shows
nothing but where it came from: everyone else is anyone.
"""

from rimward.edge.access import Access, Action, Credentials, Denial, Identity
from rimward.edge.access.identity import DENIALS
from rimward.edge.dispatch.types import Sender
from rimward.edge.gateways.coap.incoming import Incoming
from rimward.protocols.coap import CoapError, code_of
from rimward.protocols.coap import codes as c

KNOWN = 16_384  # callers that are remembered; beyond it the memory starts anew


class Callers:
    """The callers by their address, their certificate, or the device whose keys they have."""

    def __init__(self, access: Access) -> None:
        self.access: Access = access
        self.access.changed.append(self.forget)
        self._known: dict[object, tuple[Identity, Sender]] = {}

    def forget(self) -> None:
        """The rules have changed: who somebody is will be asked anew."""
        self._known.clear()

    def of(self, incoming: Incoming) -> tuple[Identity, Sender]:
        """Return who has sent a request.

        Raises:
            CoapError: 4.01 or another word for a denial.
        """
        peer, secured = incoming.peer, incoming.secured
        key: object = peer.address if peer.certificate is None else peer.certificate
        if secured is not None:
            key = secured.device
        known = self._known.get(key)
        if known is None:
            if len(self._known) >= KNOWN:
                self._known.clear()
            told: list[Identity | Denial] = []
            if secured is not None:
                told.append(self.access.opened(secured.device))
            else:
                self.access.identify(Credentials(peer, client_id=peer.address), told.append)
            [identity] = told  # only passwords take longer, and CoAP shows none
            if isinstance(identity, Denial):
                raise CoapError(identity.detail, code_of(DENIALS[identity.kind].coap))
            known = self._known[key] = identity, Sender(identity.id or peer.address, "coap", identity.user)
        return known

    def check(self, incoming: Incoming, action: Action, what: str) -> Sender:
        """Return the sender that functions see.

        Raises:
            CoapError: 4.01, nobody has shown who it is, and not everybody may; 4.03, this one may not.
        """
        identity, sender = self.of(incoming)
        if not identity.free and (why := self.access.may(identity, action, what)) is not None:
            raise CoapError(why, c.UNAUTHORIZED if identity.anonymous else c.FORBIDDEN)
        return sender
