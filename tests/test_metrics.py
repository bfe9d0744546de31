"""What is written for TensorBoard."""

import pytest
from fit_runs import must_not_run, parabola_fit

from scg.errors import InputError


def events(folder):
    """Read TensorBoard's event files: length, checksum, message, checksum."""
    proto = pytest.importorskip("tensorboardX.proto.event_pb2")
    for path in sorted(folder.iterdir()):
        content = path.read_bytes()
        while content:
            length = int.from_bytes(content[:8], "little")
            yield proto.Event.FromString(content[12 : 12 + length])
            content = content[16 + length :]


def test_metrics_are_written_for_tensorboard(tmp_path):
    result = parabola_fit(num_steps=5, log_dir=tmp_path / "logs", log_every=2)
    costs = {
        event.step: value.simple_value
        for event in events(tmp_path / "logs")
        for value in event.summary.value
        if value.tag == "cost"
    }
    want = {record["step"]: record["cost"] for record in result.history}
    assert costs == pytest.approx(want)


def test_a_resumed_run_hides_what_was_logged_about_lost_steps(tmp_path):
    logs, folder = tmp_path / "logs", tmp_path / "run"
    parabola_fit(num_steps=3, log_dir=logs, checkpoint=folder)
    assert not any(event.HasField("session_log") for event in events(logs))
    parabola_fit(num_steps=6, log_dir=logs, checkpoint=folder)
    starts = [event.step for event in events(logs) if event.HasField("session_log")]
    assert starts == [4]


def test_a_log_folder_that_cannot_be_made_is_found_before_the_first_step(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match=r"log_dir .*: expected a folder to write to"):
        parabola_fit(must_not_run, log_dir=tmp_path / "file" / "logs")
