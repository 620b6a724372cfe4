"""Whether the cloud extra is installed, without which a Site has no lake."""

from importlib.util import find_spec

from rimward.testing.errors import CloudMissing

CLOUD = ("deltalake", "pyarrow", "duckdb")


def has_cloud() -> bool:
    """Tell whether everything that the lake needs is there."""
    return all(find_spec(package) is not None for package in CLOUD)


def need_cloud() -> None:
    """Go on where it is installed.

    Raises:
        CloudMissing: it is not.
    """
    if not has_cloud():
        raise CloudMissing("a Site's lake needs the cloud extra: pip install 'rimward[cloud]'")
