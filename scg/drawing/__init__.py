"""Pictures of graphs.

Reading order: `picture` (what is drawn), `merging`, `names`, `labels`, `facts`,
`gradients` and `blocks` (from a graph to that), `layered` with `layers`, `grid`,
`ordering`, `placing`, `rigid`, `pulling`, `spacing`, `curves` and `fitting`, or
`graphviz` (where it is), `theme`, `marks`, `outlines`, `legend`, `svg` and `html` (the
file), `draw`.
"""

from scg.drawing.draw import Layout, draw, drawn

__all__ = ["Layout", "draw", "drawn"]
