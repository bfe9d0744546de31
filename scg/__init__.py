"""Stochastic computation graphs in NumPy.

Reading order: `scg.node` and `scg.graph` (models), `scg.influence` (paths),
`scg.forward` (runs), `scg.credit`, `scg.surrogate` (gradients), `scg.optimizers`.
"""

from scg.baselines import BatchMean, LearnedBaseline, LeaveOneOut, MovingAverage, NoBaseline
from scg.black_box import black_box, deterministic
from scg.critics import GAE
from scg.distributions import Bernoulli, Categorical, Normal, Uniform
from scg.environment import Environment
from scg.estimators import Enumeration, Pathwise, ScoreFunction
from scg.functions import (
    log_sigmoid,
    log_softmax,
    logsumexp,
    sigmoid,
    softmax,
    softplus,
    stop_gradient,
)
from scg.graph import Graph
from scg.surrogate import Estimate, compile, estimate_gradient, forward
from scg.trace import Trace
