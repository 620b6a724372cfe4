"""`python -m rimward.cloud CONFIG --ready R`: the hub."""

import sys

from rimward.cloud.hub import Hub
from rimward.cloud.process import serve

if __name__ == "__main__":
    sys.exit(serve("hub", lambda config, _: Hub(config), sys.argv[1:]))
