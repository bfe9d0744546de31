import numpy as np
import pytest

import scg
from scg.pictures import draw_curves, draw_images, write_film

HISTORY = [{"step": 1, "cost": 2.0, "return": np.nan}, {"step": 2, "cost": 1.0}]


@pytest.mark.parametrize("kind", ["png", "svg"])
def test_curves_are_drawn_into_a_new_folder(tmp_path, kind):
    pytest.importorskip("matplotlib")
    path = tmp_path / "new" / f"curves.{kind}"
    draw_curves(path, HISTORY, "cost", "return")
    assert path.stat().st_size > 1000


def test_without_records_the_panels_are_empty(tmp_path):
    pytest.importorskip("matplotlib")
    draw_curves(tmp_path / "curves.png", [], "cost")
    assert (tmp_path / "curves.png").exists()


def test_names_that_no_record_has_are_an_error(tmp_path):
    with pytest.raises(scg.InputError, match=r"among \['cost', 'return', 'step'\]"):
        draw_curves(tmp_path / "curves.png", HISTORY, "costs")
    with pytest.raises(scg.InputError, match="got none at all"):
        draw_curves(tmp_path / "curves.png", HISTORY)


def test_images_of_another_shape_are_an_error(tmp_path):
    with pytest.raises(scg.InputError, match=r"expected \(count, height, width\)"):
        draw_images(tmp_path / "weights.png", np.zeros((3, 4)))


def test_images_that_are_zero_can_be_drawn(tmp_path):
    pytest.importorskip("matplotlib")
    draw_images(tmp_path / "weights.png", np.zeros((9, 4, 4)))
    assert (tmp_path / "weights.png").exists()


def test_a_film_has_its_frames(tmp_path):
    imageio = pytest.importorskip("imageio.v3")
    frames = np.arange(5)[:, None, None] * np.full((5, 8, 8), 50, np.uint8)
    write_film(tmp_path / "film.gif", frames.astype(np.uint8))
    assert len(imageio.imread(tmp_path / "film.gif")) == 5
    with pytest.raises(scg.InputError, match="at least one frame"):
        write_film(tmp_path / "film.gif", [])
