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
# A name that is no target, such as a parameter's, is shown as code.
default_role = "any"
suppress_warnings = ["ref.any"]
html_theme = "furo"
exclude_patterns = ["_build"]
