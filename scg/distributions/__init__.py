"""Families of distributions.

Read `base` for the interface, then `bernoulli` as the shortest complete example, then
`categorical` (a draw consumes an axis), `normal` and `uniform` (reparameterised).
"""

from scg.distributions.base import (
    AbstractDistribution,
    elementwise_score,
)
from scg.distributions.bernoulli import Bernoulli
from scg.distributions.categorical import Categorical
from scg.distributions.normal import Normal
from scg.distributions.uniform import Uniform

__all__ = [
    "AbstractDistribution",
    "Bernoulli",
    "Categorical",
    "Normal",
    "Uniform",
    "elementwise_score",
]
