"""A black box's call: what it says of wrong answers, and how often it is tried."""

import logging
import socket
import socketserver
import threading

import numpy as np
import pytest

import scg


def box(function, *args, **options):
    graph = scg.Graph()
    k = graph.sample("k", scg.Categorical(logits=graph.param("w", np.zeros(4))))
    graph.cost("loss", scg.black_box(function, *args, name="box", **options)(k))
    return graph


def run(graph, rows=5):
    rng = np.random.default_rng(0)
    return scg.estimate_gradient(graph, graph.init(rng), rng=rng, rows=rows)


class Flaky:
    """Answer rightly from call `good` on, in some wrong way before."""

    def __init__(self, wrong, good):
        self.wrong, self.good, self.calls = wrong, good, 0

    def __call__(self, k):
        self.calls += 1
        return k * 1.0 if self.calls >= self.good else self.wrong(k)


def broken(k):
    msg = "the line is dead"
    raise ConnectionError(msg)


WRONG = {
    "raises": (broken, "raised ConnectionError: the line is dead"),
    "None": (lambda k: None, "expected numbers of dtype float64, got None"),
    "a message": (lambda k: {"error": 502}, "got {'error': 502}"),
    "text": (lambda k: ["1", "2", "3", "4", "5"], "got '1' in row 0"),
    "a hole": (lambda k: [1, 2, None, 4, 5], "got None in row 2"),
    "too few": (lambda k: [1, 2, 3, 4], "expected 5 rows, one for each.*got 4"),
    "one": (lambda k: 3.0, r"got \(\).*each_row=scg.EachRow\(\)"),
    "ragged": (lambda k: [1, [2], 3, 4, 5], r"each row needs the shape \(\)"),
    "not a number": (lambda k: [1, 2, 3, np.nan, 5], "got nan in row 3"),
    "complex": (lambda k: k * 1j, "expected dtype float64, got complex128"),
}


@pytest.mark.parametrize("case", WRONG)
def test_a_wrong_answer_is_shown(case):
    wrong, message = WRONG[case]
    with pytest.raises(scg.BlackBoxError, match=f"black box 'box'.*{message}"):
        run(box(wrong))


def test_a_wrong_shape_of_a_row_is_not_told_as_a_wrong_number_of_rows():
    graph = scg.Graph()
    x = graph.input("x")
    pairs = scg.black_box(lambda x: np.ones((4, 3)), shape=2)(x)
    graph.cost("loss", np.sum(pairs, axis=-1))
    with pytest.raises(scg.BlackBoxError, match=r"shape \(5, 2\) \(rows first\)"):
        scg.forward(graph, {}, {"x": np.ones(5)}, rng=np.random.default_rng(0))


def box_of_params(function):
    graph = scg.Graph()
    w = graph.param("w", np.ones(3))
    graph.cost("mean", graph.sample("x", scg.Normal(mean=w[0], scale=1.0)))
    graph.cost("loss", scg.black_box(function, name="box")(scg.stop_gradient(w)))
    return graph


def test_a_box_without_rows_is_not_told_of_rows():
    for wrong, message in (
        (lambda w: w, r"expected shape \(\), got \(3,\)"),
        (lambda w: np.inf, r"expected finite numbers, got inf\.$"),
        (lambda w: [None], r"got None\.$"),
    ):
        with pytest.raises(scg.BlackBoxError, match=message):
            run(box_of_params(wrong))


def test_the_arguments_of_a_failed_call_are_kept_as_they_were():
    seen = []

    def fail(k):
        seen.append(k)
        raise ValueError

    with pytest.raises(scg.BlackBoxError, match=r"shape \(5,\), all rows at once") as e:
        run(box(fail))
    (given,) = e.value.arguments
    assert given.tolist() == run(box(lambda k: k * 1.0)).trace["k"].tolist()
    # The next run may use the memory of this one again.
    assert not np.shares_memory(given, seen[0])


# Attempts


@pytest.mark.parametrize("case", WRONG)
def test_a_call_that_failed_is_made_again(case):
    flaky = Flaky(WRONG[case][0], good=3)
    estimate = run(box(flaky, attempts=3, pause=0))
    assert flaky.calls == 3
    assert estimate.cost == run(box(lambda k: k * 1.0)).cost


@pytest.mark.parametrize("attempts", [1, 2])
def test_no_call_is_made_more_often_than_was_said(attempts):
    flaky = Flaky(broken, good=3)
    with pytest.raises(scg.BlackBoxError) as error:
        run(box(flaky, attempts=attempts, pause=0))
    assert flaky.calls == attempts
    assert ("Tried 2 times." in str(error.value)) == (attempts == 2)
    assert isinstance(error.value.__cause__, ConnectionError)


def test_a_call_that_hung_is_made_again():
    release = threading.Event()
    flaky = Flaky(lambda k: release.wait(60), good=2)
    assert np.isfinite(run(box(flaky, timeout=0.2, attempts=2, pause=0)).cost)
    release.set()
    assert flaky.calls == 2


def test_the_pause_doubles_and_each_failure_is_logged(monkeypatch, caplog):
    waited = []
    monkeypatch.setattr("scg.box_call.time.sleep", waited.append)
    with caplog.at_level(logging.WARNING, logger="scg.box_call"):
        run(box(Flaky(broken, good=5), attempts=9, pause=0.5))
    assert waited == [0.5, 1.0, 2.0, 4.0]
    assert len(caplog.messages) == 4
    assert "the line is dead" in caplog.messages[0]
    assert caplog.messages[1].endswith("Trying again in 1 s.")


def test_no_pause_is_longer_than_a_minute(monkeypatch):
    waited = []
    monkeypatch.setattr("scg.box_call.time.sleep", waited.append)
    run(box(Flaky(broken, good=2000), attempts=2000))
    assert max(waited) == 60
    assert len(waited) == 1999


@pytest.mark.parametrize("attempts", [0, -1, 1.5, True, "2", None])
def test_attempts_are_a_whole_number(attempts):
    with pytest.raises(scg.GraphError, match="'f': expected attempts of 1 or more"):
        scg.black_box(np.sqrt, name="f", attempts=attempts)


@pytest.mark.parametrize("pause", [-1, True, "1", float("inf"), float("nan")])
def test_a_pause_is_a_number_of_seconds(pause):
    with pytest.raises(scg.GraphError, match="'f': expected a pause of 0 or more"):
        scg.black_box(np.sqrt, name="f", pause=pause)


# A run


def train(graph, folder, num_steps=20):
    rng = np.random.default_rng(0)
    return scg.fit(
        scg.compile(graph, {"k": scg.ScoreFunction(baseline=scg.BatchMean())}),
        graph.init(rng),
        optimizer=scg.adam(0.1),
        rng=rng,
        rows=8,
        num_steps=num_steps,
        checkpoint=folder,
        save_every=5,
        progress=False,
    )


def test_a_run_whose_service_died_goes_on_bit_for_bit(tmp_path):
    """One message a step over TCP; the service is closed in step 13, and comes back."""
    asked = []

    class Answer(socketserver.StreamRequestHandler):
        def handle(self):
            asked.append(k := np.frombuffer(self.rfile.read(64), np.int64))
            if len(asked) != 13:  # otherwise an answer of no bytes
                self.wfile.write((k - 1.5).tobytes())

    with socketserver.TCPServer(("127.0.0.1", 0), Answer) as server:
        threading.Thread(target=server.serve_forever, args=(0.01,)).start()

        def ask(k):
            with socket.create_connection(server.server_address, timeout=10) as line:
                line.sendall(k.tobytes())
                return np.frombuffer(line.makefile("rb").read(), float)

        try:
            with pytest.raises(scg.BlackBoxError, match="expected 8 rows") as error:
                train(box(ask), tmp_path / "died")
            resumed = train(box(ask), tmp_path / "died")
        finally:
            server.shutdown()
    assert error.value.__notes__ == [
        "in training step 13; the same call goes on from the checkpoint of step 10"
    ]
    assert len(asked) == 13 + 10
    straight = train(box(lambda k: k - 1.5), tmp_path / "straight")
    assert resumed.params["w"].tolist() == straight.params["w"].tolist()
    assert resumed.params["w"].argmax() == 0
