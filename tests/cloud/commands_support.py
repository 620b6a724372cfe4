"""Commands in hub.db without a function that gave them."""

from pathlib import Path

from rimward.app.commands import order
from rimward.cloud.functions.journal import Given, Journal, Unit

NOW = 10**18
DAY = 86_400_000_000_000


def give_command(
    data: Path, key: str, *, node: str = "node-1", expires: str = "24h", idempotent: bool = False
) -> None:
    """Commit one as a call of a cloud function does."""
    given = order(
        "pump", "stop", {"key": key},
        expires=expires, timeout="10s", key=key, node=node, idempotent=idempotent,
    )  # fmt: skip
    journal = Journal(data / "hub" / "hub.db")
    journal.commit(Unit("f", NOW, None, None, commands=[Given(given, node, key, "event")]))
    journal.close()
