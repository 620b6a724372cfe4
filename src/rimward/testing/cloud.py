"""Whether the cloud extra is installed, without which a Site has no lake."""

from importlib.util import find_spec

CLOUD = ("deltalake", "pyarrow", "duckdb")


def has_cloud() -> bool:
    """Tell whether everything that the lake needs is there."""
    return all(find_spec(package) is not None for package in CLOUD)
