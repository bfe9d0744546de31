"""What a value gradient makes legal, and what it refuses."""

import numpy as np
import pytest
from value_gradient_models import model, run, smooth

import scg


@pytest.mark.parametrize("option", [{"lam": 2.0}, {"steps": 0}, {"discount": -0.1}])
def test_options_out_of_range_are_refused(option):
    with pytest.raises(scg.EstimatorError, match="ValueGradient: expected lam"):
        scg.ValueGradient("q", **option)


def test_it_makes_a_black_box_below_legal():
    box = scg.black_box(lambda z, x: np.floor(z), (), float)
    graph, estimators = model(box, value=smooth)
    graph.check(estimators)
    with pytest.raises(scg.NotDifferentiableError):
        graph.check({"z": scg.Pathwise()})
    assert "value gradient" in graph.explain(estimators)


def test_another_way_to_the_black_box_is_still_illegal():
    graph = scg.Graph()
    w = graph.param("w", 0.4)
    h = np.tanh(w * graph.input("x"))
    z = graph.sample("z", scg.Normal(mean=h, scale=1.0))
    graph.cost("loss", scg.black_box(lambda z, h: z + h, (), float)(z, h))
    graph.value("q", z * h)
    with pytest.raises(scg.NotDifferentiableError):
        graph.check({"z": scg.ValueGradient("q")})


def test_a_value_node_without_derivative_is_refused():
    graph, estimators = model(smooth, value=lambda z, x: np.floor(z) + x[:, 0])
    with pytest.raises(scg.NotDifferentiableError, match="from it to the value node"):
        graph.check(estimators)


def test_a_value_node_that_does_not_read_the_sample_is_refused():
    graph, estimators = model(smooth, value=lambda z, x: x[:, 0])
    with pytest.raises(scg.EstimatorError, match="which it does not influence"):
        graph.check(estimators)


def test_a_value_node_that_reads_too_little_is_refused():
    graph, estimators = model(smooth, value=lambda z, x: z**2)
    with pytest.raises(scg.CriticError, match=r"open path z ← .* ← x → .* → loss"):
        graph.check(estimators)
    graph.check({"z": scg.ValueGradient("q", partial=True)})


def test_a_family_without_reparameterisation_is_refused():
    graph = scg.Graph()
    b = graph.sample("b", scg.Bernoulli(logits=graph.param("t", 0.1)))
    graph.cost("loss", b)
    graph.value("q", 2.0 * b)
    with pytest.raises(scg.EstimatorError, match="needs a reparameterised"):
        graph.check({"b": scg.ValueGradient("q")})


def test_given_values_have_no_noise_to_differentiate():
    graph, estimators = model(smooth, value=smooth)
    with pytest.raises(scg.EstimatorError, match="got given values"):
        run(graph, estimators, given={"z": np.zeros(7)})
