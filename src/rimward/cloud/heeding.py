"""Cancellations that the bus's client swallows."""

import asyncio


def heed_cancellation() -> None:
    """Raise a cancellation that the bus's client has swallowed."""
    task = asyncio.current_task()
    if task is not None and task.cancelling():
        raise asyncio.CancelledError
