# pyright: reportUnknownMemberType=false
# (nats ships partial types)
"""Marks, as the hub announces them."""

from nats.aio.msg import Msg

from rimward.edge.deep.link import Link
from rimward.edge.deep.outgoing import Outgoing
from rimward.wire import Marks, marks_subject


class Hearing:
    """Listens on the node's own inbox."""

    def __init__(self, out: Outgoing) -> None:
        self._out = out

    async def run(self, link: Link) -> None:
        """Take marks over until the connection ends."""
        await link.client.subscribe(marks_subject(self._out.config.node), cb=self._on_marks)
        await link.broken.wait()

    async def _on_marks(self, message: Msg) -> None:
        out = self._out
        try:
            marks = Marks.decode(message.data)
        except ValueError:
            out.counts["marks"] += 1
            return
        if out.reader is not None and marks.node == out.config.node:
            out.core.pace = marks.pace or out.core.pace
            out.hear(marks.marks)
