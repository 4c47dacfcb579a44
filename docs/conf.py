"""How the pages are built: Markdown, by Sphinx with MyST, in the Furo theme.

`make docs`; the pages of the repository's root are taken in by `index.md`.
"""

from tanken import __version__

project = "tanken"
author = "the tanken authors"
release = __version__
extensions = ["myst_parser"]
html_theme = "furo"
exclude_patterns = ["_build"]
myst_heading_anchors = 3
