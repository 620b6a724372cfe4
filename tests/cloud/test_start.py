"""What the cloud's processes need to start: a kill costs what it takes until they are back."""

import subprocess
import sys

HUB = """
import sys
late = {"duckdb", "obstore", "cryptography"}
import rimward.cloud.hub, rimward.cloud.functions.worker
print(*sorted((late | {"pyarrow"}) & sys.modules.keys()))
import rimward.cloud.ingest.ingesting
print(*sorted((late | {"pyarrow.dataset", "pyarrow.compute"}) & sys.modules.keys()))
"""


def test_what_is_large_and_needed_later_is_imported_later() -> None:
    done = subprocess.run([sys.executable, "-c", HUB], check=True, capture_output=True, text=True)
    hub, ingest = done.stdout.split("\n")[:2]
    assert hub == "", "the hub and its functions' worker start without it"
    assert ingest == "", "ingest starts without it"
