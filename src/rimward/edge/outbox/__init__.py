"""The outbox: what a message makes durable is on disk before its device hears so (GUARANTEES §1-2)."""

from rimward.edge.outbox.core import OutboxCore
from rimward.edge.outbox.records import DeadLetter, Forward, Put, Transaction
from rimward.edge.outbox.shell import Outbox

__all__ = ["DeadLetter", "Forward", "Outbox", "OutboxCore", "Put", "Transaction"]
