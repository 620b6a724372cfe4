"""How the documentation is built: ./dev docs."""

from importlib.metadata import version as installed

project = "Rimward"
author = "The Rimward authors"
version = release = installed("rimward")

extensions = ["myst_parser"]
source_suffix = {".md": "markdown"}
exclude_patterns = ["_build"]
nitpicky = True
myst_heading_anchors = 3
myst_enable_extensions = ["deflist"]

html_theme = "furo"
html_title = "Rimward"
html_show_sphinx = False
html_show_copyright = False
