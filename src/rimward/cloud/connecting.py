"""The hub's connections to its bus."""

from nats.aio.client import Client

from rimward.cloud.config import HubConfig
from rimward.network import bus


async def connect(config: HubConfig) -> Client:
    """Connect to the bus once: whoever uses the connection starts over by itself when it breaks.

    It raises what the client raises.
    """
    return await bus.connect(config.bus)


def committed_subject(region: str) -> str:
    """Return where ingest tells the rest of the hub that rows were committed."""
    return f"hub.{region}.committed"
