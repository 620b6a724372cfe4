"""The hub's connections to its bus."""

from nats.aio.client import Client

from rimward.cloud.config import HubConfig


async def connect(config: HubConfig) -> Client:
    """Connect to the bus once: whoever uses the connection starts over by itself when it breaks.

    It raises what the client raises.
    """
    client = Client()
    await client.connect(
        config.bus_url,
        user=config.user or None,
        password=config.password or None,
        allow_reconnect=False,
        connect_timeout=2,
    )
    return client
