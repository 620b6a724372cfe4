"""Where a node finds its app's own settings."""

import os
from pathlib import Path

from msgspec import Struct

from rimward.app import App
from rimward.app.settings import settings_of
from rimward.edge.config import NodeConfig


def read_settings(app: App, config: NodeConfig) -> Struct | None:
    """Return the app's own settings, from the environment and a file."""
    name = config.settings or os.environ.get("RIMWARD_CONFIG")
    return settings_of(app, Path(name).read_bytes() if name else None, os.environ)
