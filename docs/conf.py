import importlib.metadata

project = "scg"
author = "the scg authors"
release = importlib.metadata.version("scg")

extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.mathjax",
    "sphinx.ext.napoleon",
]
myst_enable_extensions = ["dollarmath"]
myst_heading_anchors = 3
autosummary_generate = False
default_role = "any"
html_theme = "furo"
exclude_patterns = ["_build"]
