"""An app before it runs, beside the lake for its rows: what ingest would refuse is told first."""

from importlib.util import find_spec

from rimward.app.manifest import Manifest
from rimward.local.errors import DevError
from rimward.local.folder import DataFolder


def differs(folder: DataFolder, manifest: Manifest) -> str:
    """Compare an app's facts with every form that the lake knows; return a note where it can't be read.

    The edge runs without a lake, so a lake that can't be read refuses nothing.

    Raises:
        DevError: a column has another type than before.
    """
    if not (folder.root / "lake" / "_schemas").is_dir():
        return ""  # no row ever came: what reads a lake need not be loaded
    if find_spec("deltalake") is None:
        return ""  # nothing here writes to a lake
    from deltalake.exceptions import DeltaError

    from rimward.cloud.ingest.schemas import SchemaChanged, judge_against
    from rimward.cloud.lake.storage import lake_of

    try:
        judge_against(lake_of(folder.root), manifest.facts)
    except SchemaChanged as error:
        raise DevError(str(error)) from None
    except (OSError, ValueError, DeltaError) as error:
        return f"the lake's schemas can't be read ({error}): a column of another type would stop ingest"
    return ""
