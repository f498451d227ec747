"""Panels stay where they are placed in every file, and labels cover neither each other nor points."""

import numpy as np
import pytest
from scipy.optimize import minimize

from clip360.figures.labels import Label, label_ends, label_points, spread
from clip360.figures.layout import panels
from clip360.figures.style import save_figure, set_style


@pytest.fixture(autouse=True)
def style():
    set_style()


def test_panels_stay_in_their_places_in_every_file(tmp_path):
    figure, axes = panels(2, 2, heights=[1.0, 0.5], left=1.5, right=0.5, top=0.25, bottom=0.75, gaps=(1.0, 0.5))
    axes[0, 0].set_ylabel("a label\nof many\nlines")
    inches = [(0.0, 1.75, 2.0, 1.0), (3.0, 1.75, 2.0, 1.0), (0.0, 0.75, 2.0, 0.5), (3.0, 0.75, 2.0, 0.5)]
    expected = [(1.5 + x, y, width, height) for x, y, width, height in inches]
    save_figure(figure, tmp_path / "figure")
    figure.canvas.draw()
    found = [axis.get_position().bounds * np.tile(figure.get_size_inches(), 2) for axis in axes.flat]
    np.testing.assert_allclose(found, expected)


def test_labels_are_moved_as_little_as_possible():
    rng = np.random.default_rng(0)
    for n in (1, 2, 5, 8):
        places, gap = rng.uniform(0, 10, n), 1.5
        order = np.argsort(places)
        apart = {"type": "ineq", "fun": lambda x, order=order, gap=gap: np.diff(x[order]) - gap}
        best = minimize(lambda x, places=places: ((x - places) ** 2).sum(), places, constraints=[apart], tol=1e-12).x
        np.testing.assert_allclose(spread(places, gap), best, atol=1e-4)


def boxes_of_texts(figure, axis):
    renderer = figure.canvas.get_renderer()
    return [text.get_window_extent(renderer) for text in axis.texts]


def test_labels_cover_neither_each_other_nor_points():
    rng = np.random.default_rng(1)
    for _ in range(5):
        figure, ((axis,),) = panels(1, 1, heights=[3.0], left=0.5, right=0.5, top=0.2, bottom=0.4)
        x, y = rng.uniform(0.0, 1.0, (2, 12))
        axis.plot(x, y, "o", markersize=3)
        axis.set(xlim=(0, 1), ylim=(0, 1))
        labels = [Label(f"{place:.2f}", *place_of_point) for place, *place_of_point in zip(x, x, y, strict=True)]
        label_points(axis, labels, size=(6.0, 3.0))
        boxes = boxes_of_texts(figure, axis)
        points = axis.transData.transform(np.stack([x, y], axis=1))
        assert not any(one.overlaps(other) for k, one in enumerate(boxes) for other in boxes[:k])
        assert not any(box.contains(*point) for box in boxes for point in points)


def test_labels_of_lines_that_end_together_stand_apart():
    figure, ((axis,),) = panels(1, 1, heights=[1.5], left=0.5, right=1.5, top=0.2, bottom=0.4)
    axis.set(xlim=(0, 1), yscale="log", ylim=(1, 100))
    label_ends(axis, [Label(f"line {k}", 1, height) for k, height in enumerate((10, 10.1, 9.9, 80))], height=1.5)
    boxes = boxes_of_texts(figure, axis)
    assert not any(one.overlaps(other) for k, one in enumerate(boxes) for other in boxes[:k])
    middle = axis.transData.transform((1, 80))[1]
    assert abs((boxes[3].y0 + boxes[3].y1) / 2 - middle) < 2  # pixels: what has room stays
