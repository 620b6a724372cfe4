"""An access file, ready to be asked: who has which secret, and which rules are whose."""

from hashlib import sha256

from rimward.edge.access.file import AccessFile, Device
from rimward.edge.access.grants import Grants, Patterns
from rimward.edge.access.identity import Badge, Denial, DenialKind, Identity, id_problem
from rimward.edge.access.tokens import Tokens
from rimward.edge.gateways.peers import Certificate

COMPILED = 1024  # sets of rules whose compiled form is remembered


def digest_of(token: str) -> str:
    """Return a token as the access file keeps it: it is random, so a plain digest does."""
    return "sha256:" + sha256(token.encode()).hexdigest()


def proof_of(secret: str) -> str:
    """Return what an identity remembers of the secret that it has shown."""
    return sha256(secret.encode()).hexdigest()[:32]


class Book:
    """One state of the access file; a reload makes another."""

    def __init__(self, file: AccessFile, own: Patterns, tokens: Tokens) -> None:
        """`own` is what is allowed where no rule says anything."""
        self.file = file
        self.tokens = tokens
        self._own = own
        self.devices: dict[str, Device] = {one.id: one for one in file.device}
        self._users: dict[str, list[Device]] = {}
        self._certificates: dict[str, Device] = {}
        self._by_token: dict[str, Device] = {}
        self._by_key_id: dict[bytes, list[Device]] = {}  # of OSCORE
        for one in file.device:
            if one.user is not None:
                self._users.setdefault(one.user, []).append(one)
            if one.certificate is not None:
                self._certificates[one.certificate] = one
            if one.token is not None:
                self._by_token[one.token] = one
            if one.oscore is not None:
                self._by_key_id.setdefault(one.oscore.keys().recipient, []).append(one)
        self._index_rules()
        self._compiled: dict[tuple[int, ...], Grants] = {}

    def _index_rules(self) -> None:
        self._of_all: list[int] = []
        self._of_anyone: list[int] = []
        self._of_roles: dict[str, list[int]] = {}
        self._of_devices: dict[str, list[int]] = {}
        for index, rule in enumerate(self.file.rule):
            if rule.anyone:
                self._of_anyone.append(index)
            elif not rule.roles and not rule.devices:
                self._of_all.append(index)
            for role in rule.roles:
                self._of_roles.setdefault(role, []).append(index)
            for device in rule.devices:
                self._of_devices.setdefault(device, []).append(index)

    # -- who somebody is

    def login(self, username: str, client_id: str) -> Device | None:
        """Return the one device that a name and a client id mean; None where there is none."""
        device = self.devices.get(username)
        if device is not None:
            return device
        sharing = self._users.get(username, ())
        if len(sharing) == 1:
            return sharing[0]
        return next((one for one in sharing if _may_be(one, client_id)), None)

    def with_token(self, token: str) -> Device | None:
        """Return the device that has a token."""
        return self._by_token.get(digest_of(token))

    def with_key_id(self, kid: bytes, context: bytes | None) -> Device | None:
        """Return the device whose keys a request names; None where there is none, or no one alone."""
        found = self._by_key_id.get(kid, [])
        if context is None and len(found) == 1:
            return found[0]  # its context need not be said where nothing else can be meant
        wanted = None if context is None else context.hex()
        return next((one for one in found if one.oscore is not None and one.oscore.context == wanted), None)

    def with_certificate(self, certificate: Certificate) -> tuple[Device, str] | None:
        """Return the device that has a certificate, and how the access file names that."""
        names = (
            f"sha256:{certificate.fingerprint}",
            f"subject:{certificate.subject}",
            *(f"name:{name}" for name in certificate.names),
        )
        for name in names:
            if (device := self._certificates.get(name)) is not None:
                return device, name
        return None

    def badge(self, device: Device, secret: str, client_id: str) -> Badge | Denial:
        """Return a device that has shown its secret, as the client that it says it is."""
        if client_id and not _may_be(device, client_id):
            return Denial(DenialKind.CLIENT_ID, f"{device.id} may not have the client id {client_id}")
        return Badge("device", client_id or device.id, device.user, device.id, proof_of(secret), device.roles)

    def certified(self, certificate: Certificate) -> Badge | None:
        """Return whom a verified certificate names where the file has no device for it; None: nobody."""
        rule = self.file.certificates
        if rule is None:
            return None
        names = certificate.names if rule.id == "name" else (certificate.subject,)
        if not names or id_problem(names[0]) is not None:
            return None
        return Badge("certificate", names[0], None, rule.id, certificate.fingerprint, rule.roles)

    def still(self, badge: Badge) -> Badge | None:
        """Return a badge as the file has it now; None where its device or its secret is gone."""
        if badge.kind == "jwt":
            return badge if self.tokens.still_trusts(badge) else None
        if badge.kind == "certificate":
            rule = self.file.certificates
            return badge if rule is not None and rule.id == badge.entry else None
        if badge.kind != "device":
            return Badge("anyone", badge.id)
        device = self.devices.get(badge.entry)
        if device is None or badge.proof not in map(proof_of, _secrets(device)):
            return None
        if not _may_be(device, badge.id):
            return None
        return Badge("device", badge.id, device.user, device.id, badge.proof, device.roles)

    # -- what it may do

    def identity(self, badge: Badge) -> Identity:
        """Return a badge with what it is allowed."""
        return Identity(badge, self._grants(badge))

    def _grants(self, badge: Badge) -> Grants:
        if badge.kind == "anyone":
            return self._compile((), badge, own=False)
        indexes = set(self._of_all)
        for role in badge.roles:
            indexes.update(self._of_roles.get(role, ()))
        if badge.kind == "device":
            indexes.update(self._of_devices.get(badge.entry, ()))
        own = not (indexes or badge.rules) or any(self.file.rule[index].own for index in indexes)
        return self._compile(tuple(sorted(indexes)), badge, own=own)

    def _compile(self, indexes: tuple[int, ...], badge: Badge, *, own: bool) -> Grants:
        parts: list[Patterns] = [self.file.rule[index] for index in (*indexes, *self._of_anyone)]
        if own:
            parts.append(self._own)
        if badge.rules:
            return Grants((*parts, *badge.rules))
        key = (*indexes, -1 if badge.kind == "anyone" else -2)
        grants = self._compiled.get(key)
        if grants is None:
            if len(self._compiled) >= COMPILED:
                self._compiled.clear()
            grants = self._compiled[key] = Grants(parts)
        return grants


def _may_be(device: Device, client_id: str) -> bool:
    """Tell whether a device may have a client id."""
    if client_id == device.id:
        return True
    if id_problem(client_id) is not None:
        return False
    return any(
        client_id.startswith(one[:-1]) if one.endswith("*") else client_id == one for one in device.clients
    )


def _secrets(device: Device) -> list[str]:
    """Return a device's secrets as the file has them."""
    scram = device.scram.stored_key.hex() if device.scram is not None else None
    oscore = device.oscore.secret if device.oscore is not None else None
    every = (device.password, device.certificate, device.token, scram, oscore)
    return [one for one in every if one is not None]
