"""Enhanced authentication by SCRAM-SHA-256 [5: 4.12]: the keys are the access file's."""

import base64
import os
from typing import TYPE_CHECKING

from msgspec import Struct

from rimward.edge.access import DENIALS, Access, Credentials, Denial, DenialKind, Identity
from rimward.edge.gateways.peers import Peer
from rimward.protocols.mqtt import Auth, Reason
from rimward.protocols.mqtt.authentication import data_of
from rimward.protocols.scram import ScramError, ScramServer

if TYPE_CHECKING:
    from rimward.edge.access.file import ScramKeys
    from rimward.edge.gateways.mqtt.connection import Connection
    from rimward.edge.gateways.mqtt.gate import Gate

NONCE = 18  # random bytes


class Proved(Struct, frozen=True):
    """The end of an exchange that went well."""

    identity: Identity
    proof: bytes  # the server's, for the client


class Exchange:
    """One exchange with one client."""

    __slots__ = ("_access", "_client_id", "_keys", "_peer", "_server")

    def __init__(self, access: Access, peer: Peer, client_id: str) -> None:
        self._access: Access = access
        self._peer: Peer = peer
        self._client_id: str = client_id
        self._server = ScramServer()
        self._keys: ScramKeys | None = None

    def step(self, data: bytes) -> bytes | Proved | Denial:
        """Take what the client says, and return the challenge, the end, or why it ends badly."""
        access, server, keys = self._access, self._server, self._keys
        credentials = Credentials(self._peer, self._client_id, server.username or None)
        if (late := access.wait(credentials)) is not None:
            return late
        try:
            if keys is None:
                name = server.first(data)
                self._keys = keys = access.scram_keys(name, self._client_id)
                return server.challenge(keys, base64.b64encode(os.urandom(NONCE)).decode())
            proof = server.final(data)
        except ScramError as error:
            keys = keys or access.scram_keys("", self._client_id)
            access.scram_ended(credentials, keys, proved=False)  # counted, and the address waits longer
            return Denial(DenialKind.CREDENTIALS, str(error))
        answer = access.scram_ended(credentials, keys, proved=True)
        return answer if isinstance(answer, Denial) else Proved(answer, proof)


def reason_of(denial: Denial) -> Reason:
    """Return a denial's reason code; 0x86 is for user names and passwords alone."""
    kinds = {DenialKind.CREDENTIALS, DenialKind.CLIENT_ID, DenialKind.EXPIRED}
    return Reason.NOT_AUTHORIZED if denial.kind in kinds else Reason(DENIALS[denial.kind].mqtt5)


def authenticate_again(connection: "Connection", packet: Auth, peer: Peer, gate: "Gate") -> None:
    """Take a step of a re-authentication [5: 4.12.1]; meanwhile everything goes on as it was."""
    session, subscriber = connection.session, connection.subscriber
    if subscriber is None:
        return
    if packet.reason == Reason.RE_AUTHENTICATE or connection.exchange is None:
        asked = session.connect.client_id if session.connect is not None else ""
        connection.exchange = Exchange(gate.access, peer, asked)
    found = connection.exchange.step(data_of(packet))
    if isinstance(found, bytes):
        session.challenge(found)
        return
    connection.exchange = None
    if isinstance(found, Denial):
        gate.count("auth_failures")
        session.fail(reason_of(found), found.detail)
    elif found.identity.owner != subscriber.identity.owner:
        gate.count("auth_failures")
        session.fail(Reason.NOT_AUTHORIZED, "the session belongs to another identity")
    else:
        subscriber.identity = found.identity
        connection.forget_allowed()
        gate.broker.table.forget_all()
        session.authenticated_again(found.proof)
