"""The ledger of a Site, by the same equation and the same code as `rimward ledger`."""

from collections.abc import Iterable
from pathlib import Path

from msgspec import Struct

from rimward.app import App
from rimward.console.model import Balance
from rimward.edge.api import read_account
from rimward.testing.cloud import has_cloud


class Ledger(Struct, frozen=True):
    """forwarded = stored + waiting + dead-lettered + expired + erased + discarded, of one moment."""

    entries: tuple[Balance, ...]  # one a fact of the app
    tables: dict[type[Struct], str]  # of the app's facts
    system: tuple[Balance, ...] = ()  # of the node's own records

    @classmethod
    def of_entries(cls, entries: Iterable[Balance], tables: dict[type[Struct], str]) -> "Ledger":
        """Return them with the node's own records apart."""
        facts: list[Balance] = []
        system: list[Balance] = []
        for entry in entries:
            (system if entry.system else facts).append(entry)
        return cls(tuple(facts), tables, tuple(system))

    @property
    def forwarded(self) -> int:
        """Rows that functions have forwarded, and that the outbox has numbered."""
        return sum(entry.forwarded for entry in self.entries)

    @property
    def stored(self) -> int:
        """Rows in the lake, counted there."""
        return sum(entry.stored or 0 for entry in self.entries)

    @property
    def waiting(self) -> int:
        """Rows in the outbox that the lake has not got."""
        return sum(entry.waiting or 0 for entry in self.entries)

    @property
    def dead_lettered(self) -> int:
        """Rows that do not fit their table."""
        return sum(entry.dead_lettered for entry in self.entries)

    @property
    def expired(self) -> int:
        """Rows that retention took."""
        return sum(entry.expired for entry in self.entries)

    @property
    def erased(self) -> int:
        """Rows that were erased on request."""
        return sum(entry.erased for entry in self.entries)

    @property
    def discarded(self) -> int:
        """Rows that were given up, with their cause."""
        return sum(entry.discarded for entry in self.entries)

    @property
    def missing(self) -> int:
        """Rows that no side names; a number below zero counts rows that are there twice."""
        return sum(entry.missing or 0 for entry in self.entries)

    def balanced(self) -> bool:
        """Tell whether every fact's equation holds."""
        return all(entry.missing == 0 for entry in (*self.entries, *self.system))

    def of(self, fact: type[Struct]) -> "Ledger":
        """Return the part of one fact.

        Raises:
            KeyError: the type is not a fact of the app.
        """
        table = self.tables[fact]
        return Ledger(tuple(entry for entry in self.entries if entry.fact == table), self.tables)


def ledger_of(folder: Path, app: App) -> Ledger:
    """Return the ledger of a Site's folder."""
    from rimward.console.ledger import balances, read_ledger

    if (folder / "lake").exists() and has_cloud():
        entries = read_ledger(folder)
    else:
        account = read_account(folder)
        entries = balances([] if account is None else [account], [])
    return Ledger.of_entries(entries, {struct: fact.spec.table for struct, fact in app.facts.items()})
