"""How the documentation is built: ./dev docs."""

import importlib
import inspect
import re
from importlib.metadata import version as installed
from typing import Any

from sphinx.application import Sphinx

project = "Rimward"
author = "The Rimward authors"
version = release = installed("rimward")

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
source_suffix = {".md": "markdown"}
exclude_patterns = ["_build"]
nitpicky = True
default_role = "code"  # docstrings write `names` as Markdown does
nitpick_ignore_regex = [("py:.*", ".*")]  # types of other packages; their inventories would be fetched
myst_heading_anchors = 3
myst_enable_extensions = ["deflist"]
autodoc_member_order = "bysource"
autodoc_preserve_defaults = True
autodoc_typehints = "signature"
autoclass_content = "both"
napoleon_numpy_docstring = False
python_display_short_literal_types = True
python_maximum_signature_line_length = 90

html_theme = "furo"
html_title = "Rimward"
html_show_sphinx = False
html_show_copyright = False

MADE_BY_USERS = {"App", "Part", "Reply", "Site"}  # the other classes are given to them


def setup(app: Sphinx) -> None:
    """Show what a reader needs: how to make what is theirs to make, and what the source says of a field."""
    app.connect("autodoc-process-signature", without_signature)
    app.connect("autodoc-process-docstring", with_comment)


def without_signature(_app: Sphinx, what: str, name: str, *_: Any) -> tuple[str, str] | None:
    """Hide how a class is made that no user makes."""
    hidden = what == "class" and name.rpartition(".")[2] not in MADE_BY_USERS
    return ("", "") if hidden else None


def with_comment(_app: Sphinx, what: str, name: str, _value: Any, _options: Any, lines: list[str]) -> None:
    """Describe a field by the comment behind it."""
    if what != "attribute" or any(lines):
        return
    owner, _, field = name.rpartition(".")
    module, _, kind = owner.rpartition(".")
    source = inspect.getsource(getattr(importlib.import_module(module), kind))
    if found := re.search(rf"^ +{field}: [^#\n]*# (.*)$", source, re.MULTILINE):
        lines[:] = [found[1]]
