"""A picture as a page: what is known of a block is told where the pointer rests."""

from __future__ import annotations

import json
from typing import Any

from scg.drawing.marks import text
from scg.drawing.picture import Picture

__all__ = ["html_of"]

_STYLE = """
body { margin: 0; font: 14px/1.45 Helvetica, Arial, sans-serif; color: #1a1a1a;
  background: #ececec; display: flex; height: 100vh; }
main { flex: 1; overflow: auto; padding: 12px; }
aside { width: 20rem; overflow: auto; padding: 16px; background: #ffffff;
  border-left: 1px solid #c9c9c9; box-sizing: border-box; }
h1 { font-size: 1.1rem; margin: 0 0 .6rem; overflow-wrap: anywhere; }
dt { color: #5c5c5c; font-size: .8rem; margin-top: .6rem; }
dd { margin: 0; overflow-wrap: anywhere; }
.node, .link { cursor: pointer; }
.node:focus { outline: 2px solid #0072b2; }
svg.picking .node, svg.picking .link { opacity: .22; }
svg.picking .chosen { opacity: 1; }
svg.picking .credited { opacity: 1; outline: 2px dashed #d55e00; outline-offset: 3px; }
@media (prefers-color-scheme: dark) {
  body { background: #1b1b1b; color: #ececec; }
  aside { background: #262626; border-color: #444444; }
  dt { color: #b5b5b5; }
}
"""
_SCRIPT = """
const read = id => JSON.parse(document.getElementById(id).textContent);
const facts = read("facts"), credits = read("credits");
const svg = document.querySelector("svg");
const panel = document.querySelector("aside");
const first = [...panel.childNodes];
const links = [...svg.querySelectorAll(".link")];
let pinned = null;
function tell(node) {
  panel.replaceChildren();
  for (const word of ["chosen", "credited"])
    svg.querySelectorAll(`.${word}`).forEach(e => e.classList.remove(word));
  svg.classList.toggle("picking", node !== null);
  if (node === null) { panel.append(...first); return; }
  const block = node.dataset.block;
  const list = document.createElement("dl");
  facts[block].forEach(([heading, words], i) => {
    if (i === 0) {
      const title = document.createElement("h1");
      title.textContent = words;
      panel.append(title);
      return;
    }
    const dt = document.createElement("dt"), dd = document.createElement("dd");
    dt.textContent = heading;
    dd.textContent = words;
    list.append(dt, dd);
  });
  panel.append(list);
  node.classList.add("chosen");
  for (const link of links) {
    const { source, target } = link.dataset;
    if (source !== block && target !== block) continue;
    link.classList.add("chosen");
    const other = source === block ? target : source;
    svg.querySelector(`[data-block="${other}"]`).classList.add("chosen");
  }
  for (const [sample, cost] of credits) {
    const other = sample === +block ? cost : cost === +block ? sample : null;
    if (other !== null)
      svg.querySelector(`[data-block="${other}"]`).classList.add("credited");
  }
}
svg.querySelectorAll(".node").forEach(node => {
  node.setAttribute("tabindex", "0");
  node.querySelector("title").remove();
  node.addEventListener("pointerenter", () => pinned || tell(node));
  node.addEventListener("pointerleave", () => pinned || tell(null));
  node.addEventListener("focus", () => tell(node));
  node.addEventListener("click", event => {
    pinned = pinned === node ? null : node;
    tell(node);
    event.stopPropagation();
  });
});
document.querySelector("main").addEventListener("click", () => {
  pinned = null;
  tell(null);
});
"""


def html_of(picture: Picture, svg: str) -> str:
    """Write a page around a drawing."""
    facts = [[list(fact) for fact in _told(block.facts)] for block in picture.blocks]
    title = text(f"Graph {picture.title}")
    return f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>{title}</title>
<style>{_STYLE}</style>
</head>
<body>
<main>
{svg}
</main>
<aside><h1>{title}</h1><p>Rest the pointer on a block to read about it; click to keep
it. A dashed line shows which costs a sample is credited with.</p></aside>
<script type="application/json" id="facts">{_data(facts)}</script>
<script type="application/json" id="credits">{_data(picture.credits)}</script>
<script>{_SCRIPT}</script>
</body>
</html>
"""


def _data(value: Any) -> str:
    """Write JSON in which no string can end the script element that it stands in."""
    return json.dumps(value, ensure_ascii=True).replace("<", "\\u003c")


def _told(facts: tuple[tuple[str, str], ...]) -> list[tuple[str, str]]:
    """Return the facts with a first one to head them."""
    found = list(facts)
    if not found or found[0][0] != "name":
        found.insert(0, ("name", "(no name)"))
    return found
