"""Writes the table of docs/errors.md from the one that the gateways use: python docs/make_errors.py."""

import re
from pathlib import Path

from rimward.events.refusals import markdown

PAGE = Path(__file__).parent / "errors.md"
TABLE = re.compile(r"(<!-- table: .*? -->\n).*?(\n<!-- end of table -->)", re.DOTALL)


def made(page: str) -> str:
    """Return the page with its table as it should be."""
    return TABLE.sub(lambda match: match[1] + markdown() + match[2], page)


if __name__ == "__main__":
    PAGE.write_text(made(PAGE.read_text()))
