"""The one place that says who somebody is, for all gateways; the identity itself says what it may do.

    pending = access.identify(Credentials(peer, client_id, username, password), answered)
    why = access.may(identity, Action.PUBLISH, "trucks/truck-1/temperature")  # None: it may

`answered` is called before `identify` returns, but for a password that has to be hashed: then `identify`
returns a `Pending` and `answered` is called later, on the loop. Without an access file everybody is free:
`identity.free` is true, and nobody needs to ask anything further.

What is shown on purpose goes first: a token, then a name with a password (which may be a token), then the
certificate of the connection. Who shows nothing is anyone. What is wrong is refused, never taken for nothing.
"""

import hmac
import os
from collections.abc import Callable
from hashlib import sha256
from typing import TYPE_CHECKING

from rimward.edge.access.backoff import Backoff
from rimward.edge.access.grants import Action
from rimward.edge.access.identity import (
    TOKEN_PREFIX,
    Answered,
    Badge,
    Credentials,
    Denial,
    DenialKind,
    Identity,
    Pending,
    free,
    looks_like_jwt,
)
from rimward.edge.access.passwords import MAX_PASSWORD, PasswordLimits, Passwords

if TYPE_CHECKING:  # a node without an access file reads none of its modules
    from rimward.edge.access.book import Book
    from rimward.edge.access.file import Device, ScramKeys

REMEMBERED_TOKENS = 4096  # verified ones, by their digest
_WRONG = "the credentials are not accepted"


class Access:
    """Identifies peers by the book, which a reload replaces."""

    def __init__(
        self,
        book: "Book | None",
        monotonic: Callable[[], int],
        *,
        limits: PasswordLimits | None = None,
        believe: bool = False,
    ) -> None:
        """Without a book everybody is free, and `believe` takes their user names for true.

        `monotonic` is in ns.
        """
        self.book: Book | None = book
        self._believe = believe
        self.counters: dict[str, int] = {}
        self.changed: list[Callable[[], None]] = []  # called after a reload: `renew` each identity
        self.passwords: Passwords = Passwords(limits or PasswordLimits(), monotonic, self.counters)
        self._backoff = Backoff(monotonic)
        self._tokens: dict[bytes, Badge] = {}
        self._nobodys = os.urandom(32)  # what the salts of unknown names are made of

    @property
    def open(self) -> bool:
        """Whether everybody is let in: there is no access file."""
        return self.book is None

    # -- who somebody is

    def identify(self, credentials: Credentials, answered: Answered) -> Pending | None:
        """Tell who somebody is, or why that is not believed; None where it was told at once."""
        book = self.book
        if book is None:
            answered(free(credentials.client_id, credentials.username if self._believe else None))
            return None
        if credentials.token is not None:
            answered(self._by_token(book, credentials, credentials.token))
        elif credentials.password is not None:
            return self._by_password(book, credentials, credentials.password, answered)
        elif (certificate := self._by_certificate(book, credentials)) is not None:
            answered(certificate)
        elif credentials.username:
            answered(self._refused(credentials, "a user name came without a password"))
        else:
            answered(book.identity(Badge("anyone", credentials.client_id)))
        return None

    def renew(self, identity: Identity) -> Identity | Denial:
        """Return an identity as it is by now, after a reload, or for a session that comes from the disk."""
        book, badge = self.book, identity.badge
        if book is None:
            return free(badge.id, badge.user if self._believe else None)
        if badge.kind == "jwt" and book.tokens.has_ended(badge):
            return Denial(DenialKind.EXPIRED, "the token's time is over")
        still = book.still(badge)
        if still is None:
            return Denial(DenialKind.CREDENTIALS, "its credentials are not valid any more")
        return book.identity(still)

    def restored(self, badge: Badge) -> Identity | Denial:
        """Return the identity of a badge that comes from the disk."""
        return self.renew(Identity(badge, None))

    # -- what it may do

    def may(self, identity: Identity, action: Action, what: str) -> str | None:
        """Tell why something is not allowed, and count it; None where it is (see `Identity.may`)."""
        why = identity.may(action, what)
        if why is not None:
            self._count(f"denied_{action}")
        return why

    def may_subscribe(self, identity: Identity, topic_filter: str) -> str | None:
        """Tell why a filter is refused: no topic that it fits may be received from.

        One that goes further is granted; what comes from beyond is not delivered (`Action.RECEIVE`).
        """
        return self.may(identity, Action.SUBSCRIBE, topic_filter)

    # -- SCRAM, whose exchange is the gateway's

    def scram_keys(self, username: str, client_id: str = "") -> "ScramKeys":
        """Return what an exchange needs; for a name that nobody has, keys that no password fits."""
        device = self.book.login(username, client_id) if self.book is not None else None
        if device is not None and device.scram is not None:
            return device.scram
        from rimward.edge.access.file import ScramKeys
        from rimward.edge.access.scram import ITERATIONS, SALT

        salt = hmac.digest(self._nobodys, b"salt" + username.encode(), "sha256")[:SALT]
        key = hmac.digest(self._nobodys, b"key" + username.encode(), "sha256")
        return ScramKeys(salt, ITERATIONS, key, key)

    def scram_ended(self, credentials: Credentials, keys: "ScramKeys", *, proved: bool) -> Identity | Denial:
        """Return who has proved that it has the password of `scram_keys`; the username names it."""
        book, username = self.book, credentials.username or ""
        device = book.login(username, credentials.client_id) if book is not None else None
        if book is None or device is None or device.scram != keys or not proved:
            return self._refused(credentials, _WRONG)
        badge = book.badge(device, keys.stored_key.hex(), credentials.client_id)
        return self._believed(book, badge)

    def wait(self, credentials: Credentials) -> Denial | None:
        """Return the denial of an address that has failed too often and has to wait; None: it is welcome."""
        seconds = self._backoff.wait(credentials.peer.address)
        if not seconds:
            return None
        self._count("throttled")
        detail = f"too many failures from this address: wait {seconds:.0f} s"
        return Denial(DenialKind.THROTTLED, detail, max(seconds, 1.0))

    # -- OSCORE, whose messages are opened by the gateway

    def key_holder(self, kid: bytes, context: bytes | None) -> "Device | None":
        """Return the device whose keys a request names; None where nobody has them."""
        return None if self.book is None else self.book.with_key_id(kid, context)

    def opened(self, device: "Device") -> Identity | Denial:
        """Return who has sent a message that the device's own keys have opened."""
        book = self.book
        if book is None or device.oscore is None or book.devices.get(device.id) != device:
            return Denial(DenialKind.CREDENTIALS, "its credentials are not valid any more")
        return self._believed(book, book.badge(device, device.oscore.secret, ""))

    # -- the node's side

    def replace(self, book: "Book") -> None:
        """Take a reloaded file and tell the gateways."""
        self.book = book
        self._tokens.clear()
        self._count("reloads")
        for changed in self.changed:
            changed()

    def failed_to_reload(self) -> None:
        """Count a file that can't be used; everything stays as it was."""
        self._count("reloads_failed")

    def look_for_ends(self) -> None:
        """Have the gateways look for tokens whose time is over, where any were shown."""
        if "identified_jwt" in self.counters:
            for changed in self.changed:
                changed()

    def stats(self) -> dict[str, int]:
        """Return what was counted."""
        return {
            **self.counters,
            "devices": len(self.book.devices) if self.book is not None else 0,
            "passwords_waiting": self.passwords.waiting,
            "addresses_failing": len(self._backoff),
        }

    def close(self) -> None:
        """End the threads."""
        self.passwords.close()

    # -- the kinds of credentials

    def _by_token(self, book: "Book", credentials: Credentials, token: str) -> Identity | Denial:
        if (late := self.wait(credentials)) is not None:
            return late
        if not token.startswith(TOKEN_PREFIX):
            return self._by_jwt(book, credentials, token)
        device = book.with_token(token)
        if (
            device is None
            or device.token is None
            or credentials.username not in {None, "", device.id, device.user}
        ):
            return self._refused(credentials, _WRONG)
        return self._believed(book, book.badge(device, device.token, credentials.client_id))

    def _by_jwt(self, book: "Book", credentials: Credentials, token: str) -> Identity | Denial:
        digest = sha256(token.encode()).digest()
        badge = self._tokens.get(digest)
        if badge is None or book.tokens.has_ended(badge):
            found = book.tokens.verify(token)
            if isinstance(found, Denial):
                return self._refused(credentials, found.detail, found.kind)
            badge = found
            if len(self._tokens) >= REMEMBERED_TOKENS:
                self._tokens.clear()
            self._tokens[digest] = badge
        return self._believed(book, _as_client(badge, credentials.client_id))

    def _by_certificate(self, book: "Book", credentials: Credentials) -> Identity | Denial | None:
        certificate = credentials.peer.certificate
        if certificate is None:
            return None
        if (found := book.with_certificate(certificate)) is not None:
            return self._believed(book, book.badge(*found, credentials.client_id))
        badge = book.certified(certificate)
        return None if badge is None else self._believed(book, _as_client(badge, credentials.client_id))

    def _by_password(
        self, book: "Book", credentials: Credentials, password: bytes, answered: Answered
    ) -> Pending | None:
        text = password.decode("ascii", "replace")
        if text.startswith(TOKEN_PREFIX) or (book.tokens.issuers and looks_like_jwt(text)):
            answered(self._by_token(book, credentials, text))
            return None
        device = book.login(credentials.username or "", credentials.client_id)
        stored = device.password if device is not None else None
        if device is not None and stored is not None and self.passwords.knows(stored, password):
            answered(self._believed(book, book.badge(device, stored, credentials.client_id)))
            return None
        if (late := self.wait(credentials)) is not None:
            answered(late)
            return None
        if len(password) > MAX_PASSWORD:
            answered(self._refused(credentials, f"a password has at most {MAX_PASSWORD} bytes"))
            return None
        return self._hash(credentials, stored, password, answered)

    def _hash(
        self, credentials: Credentials, stored: str | None, password: bytes, answered: Answered
    ) -> Pending | None:
        pending = Pending()

        def ended(right: bool) -> None:  # noqa: FBT001 (what the pool hands over)
            if not pending.cancelled:
                answered(self._hashed(credentials, stored, right=right))

        taken = self.passwords.check(stored, password, wanted=lambda: not pending.cancelled, answered=ended)
        if taken:
            return pending
        answered(Denial(DenialKind.BUSY, "too many passwords wait to be checked", 1.0))
        return None

    def _hashed(self, credentials: Credentials, stored: str | None, *, right: bool) -> Identity | Denial:
        """Answer by the book as it is now: it may have been reloaded while the password was hashed."""
        book = self.book
        device: Device | None = None
        if book is not None:
            device = book.login(credentials.username or "", credentials.client_id)
        if not right or book is None or device is None or stored is None or device.password != stored:
            return self._refused(credentials, _WRONG)
        return self._believed(book, book.badge(device, stored, credentials.client_id))

    def _believed(self, book: "Book", badge: Badge | Denial) -> Identity | Denial:
        if isinstance(badge, Denial):
            self._count(f"refused_{badge.kind}")
            return badge
        self._count(f"identified_{badge.kind}")
        return book.identity(badge)

    def _refused(
        self, credentials: Credentials, detail: str, kind: DenialKind = DenialKind.CREDENTIALS
    ) -> Denial:
        self._count(f"refused_{kind}")
        self._backoff.failed(credentials.peer.address)
        return Denial(kind, detail)

    def _count(self, name: str) -> None:
        self.counters[name] = self.counters.get(name, 0) + 1


def _as_client(badge: Badge, client_id: str) -> Badge | Denial:
    """Return a badge where the client id is its own id or left to the node."""
    if client_id and client_id != badge.id:
        return Denial(DenialKind.CLIENT_ID, f"{badge.id} may not have the client id {client_id[:256]}")
    return badge
