"""Families of distributions.

Read `base` for the interface, then `bernoulli` as the shortest complete example, then
`categorical` (a draw consumes an axis), `normal` and `uniform` (reparameterised),
`gamma` (reparameterised implicitly) and `multivariate_normal` (one log-density for a
vector). Those that need special functions import SciPy when they are made.
"""

from scg.distributions.base import (
    AbstractDistribution,
    elementwise_score,
)
from scg.distributions.bernoulli import Bernoulli
from scg.distributions.beta import Beta
from scg.distributions.binomial import Binomial
from scg.distributions.categorical import Categorical
from scg.distributions.dirichlet import Dirichlet
from scg.distributions.exponential import Exponential
from scg.distributions.gamma import Gamma
from scg.distributions.geometric import Geometric
from scg.distributions.laplace import Laplace
from scg.distributions.log_normal import LogNormal
from scg.distributions.multivariate_normal import MultivariateNormal
from scg.distributions.normal import Normal
from scg.distributions.one_hot_categorical import OneHotCategorical
from scg.distributions.poisson import Poisson
from scg.distributions.tanh_normal import TanhNormal
from scg.distributions.truncated_normal import TruncatedNormal
from scg.distributions.uniform import Uniform

__all__ = [
    "AbstractDistribution",
    "Bernoulli",
    "Beta",
    "Binomial",
    "Categorical",
    "Dirichlet",
    "Exponential",
    "Gamma",
    "Geometric",
    "Laplace",
    "LogNormal",
    "MultivariateNormal",
    "Normal",
    "OneHotCategorical",
    "Poisson",
    "TanhNormal",
    "TruncatedNormal",
    "Uniform",
    "elementwise_score",
]
