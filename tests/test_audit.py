"""Audits: exact gradients, biases, variances and ranks where all is known."""

import numpy as np
import pytest

import scg
from scg.audit_report import ChoiceFigures
from scg.errors import InputError, UnknownNameError
from scg.gradient_figures import (
    FOLLOWED,
    combined,
    followed,
    gradient_figures,
    z_limit,
)

# Exact variances of one draw at (t, p) = (.45, .5).
PLAIN, PAIR = 1.593906e-2, 6.25e-4
REPEATS = 4000


def toy(t=0.45):
    graph = scg.Graph()
    theta = graph.param("theta", 0.0)
    b = graph.sample("b", scg.Bernoulli(logits=theta))
    graph.cost("loss", (b - t) ** 2)
    return graph


def audited(graph, choices, *, inputs=None, repeats=200, **options):
    params = graph.init(np.random.default_rng(0))
    return scg.audit(
        graph,
        params,
        inputs,
        estimators=choices,
        rng=np.random.default_rng(1),
        repeats=repeats,
        **options,
    )


def score(**options):
    return scg.ScoreFunction(**options)


def z_of_variance(figures, exact):
    """Return how far a found variance is from the exact one, in standard errors."""
    draws = figures.draws
    squares = (draws - draws.mean()) ** 2
    return (figures.variance - exact) / (squares.std() / np.sqrt(len(draws)))


@pytest.fixture(scope="module")
def coin():
    choices = {
        "plain": {"b": score()},
        "pair": {"b": score(baseline=scg.LeaveOneOut(), samples=2)},
        "exact": {"b": scg.Enumeration()},
    }
    return audited(toy(), choices, rows=1, repeats=REPEATS)


def test_the_exact_gradient_of_the_toy_is_found(coin):
    assert coin.exact["theta"] == pytest.approx(0.025, abs=1e-12)
    assert coin.reference is None


@pytest.mark.statistical
def test_the_variances_of_the_toy_are_found(coin):
    assert abs(z_of_variance(coin["plain"].params["theta"], PLAIN)) < 5
    assert abs(z_of_variance(coin["pair"].params["theta"], PAIR)) < 5
    assert abs(z_of_variance(coin["pair"].params["theta"], PLAIN)) > 100
    assert coin["exact"].total.variance == 0


@pytest.mark.statistical
def test_unbiased_choices_are_not_marked(coin):
    assert [choice.bias for choice in coin.choices] == ["", "", ""]
    assert all(choice.total.max_z < 5 for choice in coin.choices)


def test_the_ranks_are_those_of_the_known_variances(coin):
    # The variances differ by a factor of 25, the times by less.
    assert coin.ranking == ("exact", "pair", "plain")
    found = [choice.work_normalised_variance for choice in coin.choices]
    assert found == sorted(found)
    assert coin["pair"].work_normalised_variance == pytest.approx(
        coin["pair"].total.variance * coin["pair"].seconds
    )


def test_the_signal_to_noise_ratio_is_that_of_the_exact_gradient(coin):
    plain = coin["plain"].total
    assert plain.signal_to_noise == pytest.approx(0.025 / plain.variance**0.5)
    assert coin["exact"].total.signal_to_noise == np.inf


def test_entropy_and_credit_are_those_of_the_toy(coin):
    for choice in coin.choices:
        site = choice.nodes["b"]
        assert site.entropy == pytest.approx(np.log(2))
        assert site.costs == ("loss",)
    assert coin["plain"].nodes["b"].explained_variance is None


@pytest.mark.statistical
@pytest.mark.parametrize("declares", [True, False])
def test_a_biased_estimator_is_found(declares):
    class Skewed(scg.AbstractBaseline):
        """Subtract a share of the cost itself: scales the gradient."""

        reads = ()
        biases = ("a share of its own cost",) if declares else ()

        def __call__(self, inputs):
            return 0.3 * (inputs.cost - 0.2525), {}

    mean = score(baseline=Skewed())
    found = audited(toy(), [{"b": mean}], rows=50, repeats=REPEATS)["1"]
    assert found.declared_biased is declares
    assert found.found_biased
    assert found.total.max_z > 5
    assert found.bias == ("declared and found" if declares else "found")


@pytest.mark.statistical
def test_a_standardised_advantage_is_declared_and_found():
    found = audited(toy(), [{"b": score(standardise=True)}], rows=20)
    assert found.choices[0].bias == "declared and found"


def loop_model():
    """Return a loop with a sample that cannot be laid out, in a cost of its own."""
    graph = scg.Graph()
    theta = graph.param("theta", 0.0)

    def step(total):
        b = graph.sample("b", scg.Bernoulli(logits=theta + total - 1))
        noise = graph.sample("noise", scg.Uniform(low=0.0, high=1.0))
        graph.cost("loss", (b - 0.45) ** 2 + 0.01 * noise)
        return total + b

    graph.scan(step, init=0.0, length=3)
    return graph


def test_in_a_loop_of_finite_samples_the_exact_gradient_is_found():
    graph = scg.Graph()
    theta = graph.param("theta", 0.3)

    def step(total):
        b = graph.sample("b", scg.Bernoulli(logits=theta + 0 * total))
        graph.cost("loss", (b - 0.45) ** 2)
        return total + b

    graph.scan(step, init=0.0, length=4)
    found = audited(graph, [{"b": score(baseline=scg.BatchMean())}], rows=50)
    p = scg.sigmoid(0.3)
    assert found.exact["theta"] == pytest.approx(4 * p * (1 - p) * (1 - 0.9))
    assert found.choices[0].total.max_z < 5


@pytest.mark.statistical
def test_in_a_loop_choices_are_measured_against_one_that_declares_no_bias():
    choices = {
        "short": {"b": score(discount=0.0)},
        "plain": {"b": score()},
        "others": {"b": score(baseline=scg.BatchMean())},
    }
    found = audited(loop_model(), choices, rows=100, repeats=1500)
    assert found.exact is None
    assert found.reference == "plain"
    assert found["plain"].total.max_z is None
    assert found["others"].total.max_z < 5
    assert found["short"].bias == "declared and found"
    assert found["others"].nodes["b"].costs == ("loss",)
    assert "'plain', which declares no bias" in str(found)


def test_nothing_is_measured_against_where_all_are_biased():
    found = audited(loop_model(), [{"b": score(discount=0.5)}], rows=2, repeats=3)
    assert found.reference is None
    assert found.choices[0].total.max_z is None
    assert found.choices[0].bias == "declared"
    assert "every choice declares a bias" in str(found)


def explained(baseline, scale, repeats=400):
    """Audit a coin whose cost a value node knows up to noise of its own."""
    graph = scg.Graph()
    x = graph.input("x")
    theta, share = graph.param("theta", 0.0), graph.param("share", scale)
    graph.value("v", share * x)
    b = graph.sample("b", scg.Bernoulli(logits=theta + 0 * x))
    graph.cost("loss", 2 * x + b)
    inputs = {"x": np.linspace(-1, 1, 40)}
    estimators = {"b": score(baseline=baseline)}
    return audited(graph, [estimators], inputs=inputs, repeats=repeats), inputs["x"]


@pytest.mark.parametrize("scale", [2.0, 1.0, 0.0, -1.0])
def test_explained_variance_is_the_closed_form(scale):
    found, x = explained(scg.LearnedBaseline("v"), scale)
    b = 0.25
    exact = 1 - ((2 - scale) ** 2 * x.var() + b) / (4 * x.var() + b)
    assert found["1"].nodes["b"].explained_variance == pytest.approx(exact, abs=0.01)


def test_params_that_only_a_regression_trains_have_no_bias():
    found, _ = explained(scg.LearnedBaseline("v"), 1.0, repeats=50)
    params = found["1"].params
    assert params["share"].max_z is None
    assert params["theta"].max_z < 5
    assert found["1"].total.variance == params["theta"].variance


@pytest.mark.statistical
def test_others_as_a_baseline_explain_less_than_nothing_of_rows_that_are_alike():
    # Var(Q - b) = Var(Q) (1 + 1 / (K - 1)).
    pair = {"b": score(baseline=scg.LeaveOneOut(), samples=3)}
    found = audited(toy(), [pair], rows=100, repeats=300)
    assert found["1"].nodes["b"].explained_variance == pytest.approx(-0.5, abs=0.02)


def test_the_entropy_of_a_vector_is_the_sum_over_its_elements():
    graph = scg.Graph()
    mu = graph.param("mu", np.zeros(3))
    x = graph.sample("x", scg.Normal(mean=mu, scale=np.array([1.0, 2.0, 3.0])))
    k = graph.sample("k", scg.Categorical(logits=np.zeros(4) * x[:, :1]))
    graph.cost("loss", (x**2).sum(axis=-1) + k)
    found = audited(graph, [{"x": scg.Pathwise()}], rows=4, repeats=3).choices[0]
    exact = 1.5 * np.log(2 * np.pi * np.e) + np.log(6)
    assert found.nodes["x"].entropy == pytest.approx(exact)
    assert found.nodes["k"].entropy == pytest.approx(np.log(4))


def test_without_a_closed_form_the_entropy_is_none():
    graph = scg.Graph()
    mu = graph.param("mu", 0.3)
    x = graph.sample("x", scg.TanhNormal(mean=mu, scale=1.0))
    graph.cost("loss", x**2)
    found = audited(graph, [{"x": scg.Pathwise()}], rows=4, repeats=3).choices[0]
    assert found.nodes["x"].entropy is None


def test_averages_are_learnt_before_they_are_measured():
    choices = [{"b": score(baseline=scg.MovingAverage())}]
    warm = audited(toy(), choices, rows=50, warm_up=20)["1"].total.variance
    cold = audited(toy(), choices, rows=50, warm_up=0)["1"].total.variance
    assert warm < 0.01 * cold


def test_the_same_seed_gives_the_same_figures():
    choices = [{"b": score()}]
    one, two = (audited(toy(), choices, rows=3) for _ in range(2))
    assert one["1"].params["theta"].draws.tolist() == (
        two["1"].params["theta"].draws.tolist()
    )


def test_large_params_are_followed_at_some_entries_and_scaled_up():
    rng = np.random.default_rng(0)
    draws = rng.normal(size=(50, 3 * FOLLOWED))
    whole = gradient_figures(draws, draws.shape[1])
    part = gradient_figures(np.array([followed(d) for d in draws]), draws.shape[1])
    assert part.mean.size == FOLLOWED
    assert part.variance == pytest.approx(whole.variance, rel=0.02)
    assert part.entry_variance == pytest.approx(1, rel=0.02)


def test_figures_of_several_params_add_up():
    rng = np.random.default_rng(0)
    draws = rng.normal(1.0, 2.0, size=(40, 5))
    exact = np.ones(5)
    whole = gradient_figures(draws, 5, exact)
    parts = [
        gradient_figures(draws[:, :2], 2, exact[:2]),
        gradient_figures(draws[:, 2:], 3, exact[2:]),
    ]
    both = combined(parts)
    assert both.variance == pytest.approx(whole.variance)
    assert both.signal_to_noise == pytest.approx(whole.signal_to_noise)
    assert both.mean_square_z == pytest.approx(whole.mean_square_z)
    assert both.max_z == pytest.approx(whole.max_z)


@pytest.mark.statistical
def test_the_mean_square_of_z_is_near_one_without_a_bias_and_not_with_one():
    draws = np.random.default_rng(3).normal(size=(400, 300))
    # The variance of z² is 2, of the mean of 300 of them 2 / 300.
    error = np.sqrt(2 / 300)
    assert (
        abs(gradient_figures(draws, 300, np.zeros(300)).mean_square_z - 1) < 5 * error
    )
    off = gradient_figures(draws, 300, np.full(300, 0.1))
    assert off.mean_square_z > 1 + 5 * error
    assert off.is_off is (off.max_z > z_limit(300))


def test_a_choice_is_found_by_name_or_near_names_are_told(coin):
    assert isinstance(coin["plain"], ChoiceFigures)
    with pytest.raises(UnknownNameError, match="plain"):
        coin["plane"]


@pytest.mark.parametrize("choices", [[], {}, {"b": score()}])
def test_what_are_no_choices_is_refused(choices):
    with pytest.raises(InputError, match="expected choices"):
        audited(toy(), choices, rows=2)


def test_one_repeat_is_refused():
    with pytest.raises(InputError, match="repeats: expected 2"):
        audited(toy(), [{"b": score()}], rows=2, repeats=1)


def test_the_text_has_every_choice_and_node(coin):
    lines = str(coin).splitlines()
    assert lines[0].startswith("choice")
    assert lines[0].endswith("variance × s")
    assert [line.split()[0] for line in lines[1:4]] == list(coin.ranking)
    assert "measured against the exact gradient" in lines[-1]


def test_the_table_has_the_same_rows(coin):
    pytest.importorskip("rich")
    table = coin.table()
    assert table.row_count == 3
    assert list(table.columns[0].cells) == list(coin.ranking)


def test_a_mean_within_its_own_noise_is_no_signal():
    draws = np.array([[1.0], [0.0], [-0.9], [0.1]])
    assert gradient_figures(draws, 1).signal_to_noise == 0
    assert gradient_figures(draws + 1, 1).signal_to_noise == pytest.approx(
        np.sqrt(1.05**2 / np.var(draws, ddof=1) - 1 / 4)
    )


def test_a_cost_that_does_not_vary_has_no_explained_variance():
    others = {"b": score(baseline=scg.BatchMean())}
    graph = scg.Graph()
    theta = graph.param("theta", 0.0)
    b = graph.sample("b", scg.Bernoulli(logits=theta))
    graph.cost("loss", 0 * b + 3)
    found = audited(graph, [others], rows=3)["1"]
    assert found.nodes["b"].explained_variance is None
    assert found.total.variance == found.total.signal_to_noise == 0


def test_choices_that_all_vary_are_drawn(tmp_path):
    pytest.importorskip("matplotlib")
    found = audited(toy(), [{"b": score()}, {"b": score(standardise=True)}], rows=4)
    found.draw(tmp_path / "audit.svg")
    assert (tmp_path / "audit.svg").stat().st_size > 1000


@pytest.mark.parametrize("kind", ["png", "svg"])
def test_an_audit_is_drawn(coin, tmp_path, kind):
    pytest.importorskip("matplotlib")
    path = tmp_path / "new" / f"audit.{kind}"
    coin.draw(path)
    assert path.stat().st_size > 1000
