"""Where what leaves a dispatcher goes that is measured alone."""

from collections.abc import Sequence


class Nowhere:
    """Takes what leaves: traces, and actions to devices."""

    def keep(self, trace: object) -> None:
        """Take a trace."""
        del trace

    def publish(self, *_: object, **__: object) -> int:
        """Take an action; nobody hears it."""
        return 0

    def publish_all(self, actions: Sequence[object]) -> None:
        """Take several."""
        del actions

    def flush(self) -> None:
        """Take what waits."""
