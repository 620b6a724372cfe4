"""System lanes: tables that nodes themselves write to, through the outbox like any fact; names begin with _.

`_clock` places a boot's monotonic clock in time. Rows are never rewritten: what was taken while the wall
clock was not to be believed is placed by the records of its boot, later ones too (GUARANTEES §6).
"""

from rimward.app.commands import RESULT
from rimward.app.facts import fingerprint
from rimward.app.manifest import Column, FactSpec


def _spec(name: str, table: str, *columns: Column) -> FactSpec:
    return FactSpec(
        name=name,
        table=table,
        priority="critical",  # a few bytes, never shed: other rows mean less without them
        locality=None,
        columns=columns,
        fingerprint=fingerprint(name, columns),
    )


CLOCK = _spec(
    "_Clock",
    "_clock",
    Column("boot", "string"),  # of the machine
    Column("mono", "int64"),  # CLOCK_BOOTTIME, ns
    Column("wall", "int64"),  # ns since the epoch at that moment, as the node's clock said
    Column("bound", "int64"),  # ns by which `wall` may be wrong; null: nobody knows
    Column("quality", "string"),  # "synced", "holdover" or "unsynced"
)
SYSTEM = (CLOCK, RESULT.spec)
