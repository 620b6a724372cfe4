"""An access file as text, a clock that tests move, and answers as they come."""

import asyncio
from collections.abc import Callable, Generator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import TypeVar

from argon2 import PasswordHasher

from rimward.edge.access import Access, Credentials, Denial, Identity, Patterns
from rimward.edge.access.book import Book
from rimward.edge.access.file import parse
from rimward.edge.access.passwords import PasswordLimits
from rimward.edge.access.tokens import Tokens
from rimward.edge.gateways.peers import Certificate, Peer

T = TypeVar("T")

PATIENCE = 20.0  # seconds before a test gives up; never a measure of speed
SECOND = 1_000_000_000
NOON = 1_790_000_000 * SECOND  # of some day
LOCAL = Peer("127.0.0.1", 1, local=True)
OWN = Patterns(
    publish=("devices/{client}/replies/#", "trucks/{client}/temperature", "open"),
    subscribe=("devices/{client}/commands/#", "trucks/{client}/#"),
    request=("POST /trucks/{client}/reports", "GET /open", "HEAD /open"),
    observe=("/trucks/{client}/reports",),
)


@cache
def cheap(password: str) -> str:
    """Return a hash that costs nothing: argon2id with the least that it takes."""
    return PasswordHasher(time_cost=1, memory_cost=8, parallelism=1).hash(password)


def off_loop(function: Callable[[], T]) -> T:
    """Run what reads files in a thread, as a node does."""
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(function).result()


@dataclass
class House:
    """Access by a file's text."""

    text: str
    folder: Path = field(default_factory=Path)
    now: int = NOON
    limits: PasswordLimits = field(default_factory=PasswordLimits)

    def __post_init__(self) -> None:
        self.access = Access(self.book(self.text), lambda: self.now, limits=self.limits)

    def book(self, text: str) -> Book:
        return off_loop(lambda: self._book(text))

    def _book(self, text: str) -> Book:
        file = parse(text, "access.toml")
        return Book(file, OWN, Tokens(file.jwt, self.folder / "access.toml", lambda: self.now))

    def rewrite(self, text: str) -> None:
        """Reload with another text."""
        self.access.replace(self.book(text))

    def pass_time(self, seconds: float) -> None:
        self.now += round(seconds * SECOND)

    async def ask(self, credentials: Credentials) -> Identity | Denial:
        """Return what is answered, now or when the password is hashed."""
        answer: asyncio.Future[Identity | Denial] = asyncio.get_running_loop().create_future()
        self.access.identify(credentials, answer.set_result)
        async with asyncio.timeout(PATIENCE):
            return await answer

    async def login(
        self, username: str, password: str, client_id: str = "", *, address: str = "127.0.0.1"
    ) -> Identity | Denial:
        return await self.ask(Credentials(Peer(address), client_id, username, password.encode()))


@contextmanager
def living(text: str, folder: Path | None = None, **limits: float) -> Generator[House]:
    """Give a house whose threads end."""
    house = House(text, folder or Path(), limits=PasswordLimits(**limits))  # pyright: ignore[reportArgumentType] -- tests name whole numbers
    try:
        yield house
    finally:
        house.access.close()


def device(name: str, password: str | None = "secret", **more: str) -> str:
    """Return one device of a file; `more` is TOML."""
    lines = [f'id = "{name}"'] + ([f'password = "{cheap(password)}"'] if password else [])
    return "\n".join(["[[device]]", *lines, *(f"{key} = {value}" for key, value in more.items()), ""])


def certificate(subject: str, *names: str, fingerprint: str = "ab" * 32) -> Peer:
    """Return a peer whose certificate the TLS layer has verified."""
    return Peer("10.0.0.1", 1, secure=True, certificate=Certificate(subject, names, fingerprint, "1"))


def known(answer: Identity | Denial) -> Identity:
    assert isinstance(answer, Identity), answer
    return answer


def denied(answer: Identity | Denial) -> Denial:
    assert isinstance(answer, Denial), answer
    return answer
