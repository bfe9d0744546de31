"""Stochastic computation graphs in NumPy.

Reading order: `scg.node` and `scg.graph` (models), `scg.influence` (paths),
`scg.forward` (runs), `scg.credit`, `scg.surrogate` (gradients), `scg.optimizers`.
"""

from scg.audit import Audit, audit
from scg.baselines import (
    AbstractBaseline,
    BatchMean,
    LearnedBaseline,
    LeaveOneOut,
    MovingAverage,
    NoBaseline,
)
from scg.black_box import black_box, deterministic
from scg.clipped import Clipped
from scg.clipping import chain, clip_by_global_norm
from scg.compare import Comparison, compare
from scg.critics import GAE
from scg.distributions import (
    AbstractDistribution,
    Bernoulli,
    Beta,
    Binomial,
    Categorical,
    Dirichlet,
    Exponential,
    Gamma,
    Geometric,
    Laplace,
    LogNormal,
    MultivariateNormal,
    Normal,
    OneHotCategorical,
    Poisson,
    TanhNormal,
    TruncatedNormal,
    Uniform,
)
from scg.environment import Environment
from scg.errors import (
    BaselineError,
    BlackBoxError,
    CheckpointError,
    DistributionError,
    DuplicateNameError,
    EstimatorError,
    GraphError,
    InputError,
    MissingExtraError,
    NoClosedFormError,
    NonFiniteError,
    NotDifferentiableError,
    PictureError,
    ScgError,
    ShapeError,
    SimulatorError,
    TruthValueError,
    UnknownNameError,
    UnreachableParamError,
)
from scg.estimators import AbstractEstimator, Enumeration, Pathwise, ScoreFunction
from scg.fit import fit
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
from scg.higher_order import surrogate_loss
from scg.node import Node
from scg.optimizers import adam, rmsprop, sgd
from scg.run_state import load_params
from scg.surrogate import Estimate, compile, estimate_gradient, forward
from scg.trace import Trace

__all__ = [  # noqa: RUF022 - plain order, which a test holds
    "AbstractBaseline",
    "AbstractDistribution",
    "AbstractEstimator",
    "Audit",
    "BaselineError",
    "BatchMean",
    "Bernoulli",
    "Beta",
    "Binomial",
    "BlackBoxError",
    "Categorical",
    "CheckpointError",
    "Clipped",
    "Comparison",
    "Dirichlet",
    "DistributionError",
    "DuplicateNameError",
    "Enumeration",
    "Environment",
    "Estimate",
    "EstimatorError",
    "Exponential",
    "GAE",
    "Gamma",
    "Geometric",
    "Graph",
    "GraphError",
    "InputError",
    "Laplace",
    "LearnedBaseline",
    "LeaveOneOut",
    "LogNormal",
    "MissingExtraError",
    "MovingAverage",
    "MultivariateNormal",
    "NoBaseline",
    "NoClosedFormError",
    "Node",
    "NonFiniteError",
    "Normal",
    "NotDifferentiableError",
    "OneHotCategorical",
    "Pathwise",
    "PictureError",
    "Poisson",
    "ScgError",
    "ScoreFunction",
    "ShapeError",
    "SimulatorError",
    "TanhNormal",
    "Trace",
    "TruncatedNormal",
    "TruthValueError",
    "Uniform",
    "UnknownNameError",
    "UnreachableParamError",
    "adam",
    "audit",
    "black_box",
    "chain",
    "clip_by_global_norm",
    "compare",
    "compile",
    "deterministic",
    "estimate_gradient",
    "fit",
    "forward",
    "load_params",
    "log_sigmoid",
    "log_softmax",
    "logsumexp",
    "rmsprop",
    "sgd",
    "sigmoid",
    "softmax",
    "softplus",
    "stop_gradient",
    "surrogate_loss",
]
