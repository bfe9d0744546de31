"""Layers and cells: small functions over nodes, and how their params begin.

A maker such as `dense` adds the params to a graph and returns a function of nodes; call
it once or many times, inside a `scan` or outside. Nothing here is special to the
engine: each is a few lines of NumPy over nodes, to read and to replace.

    initializers    how an array begins: from a shape to ``(rng) -> array``
    layers          dense, embedding
    cells           lstm, gru

Activations are NumPy's and `scg`'s own: ``np.maximum(x, 0)``, `np.tanh`, `scg.softmax`.
"""

from scg.nn.cells import GRU, LSTM, gru, lstm
from scg.nn.initializers import glorot, he, lecun, normal, orthogonal, uniform, zeros
from scg.nn.layers import Dense, Embedding, dense, embedding

__all__ = [
    "GRU",
    "LSTM",
    "Dense",
    "Embedding",
    "dense",
    "embedding",
    "glorot",
    "gru",
    "he",
    "lecun",
    "lstm",
    "normal",
    "orthogonal",
    "uniform",
    "zeros",
]
