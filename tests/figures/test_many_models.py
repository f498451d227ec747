"""Thirteen models of long names, as in the profile `paper`: no two texts of a figure cover each other, and all lie on the page."""

from itertools import combinations, product
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
import yaml
from matplotlib.text import Text

from clip360.figures.capabilities import attributes_by_subset, view_cost_bars
from clip360.figures.capability_changes import capability_heatmap
from clip360.figures.claims import claims_forest
from clip360.figures.crop_or_model import ratios_by_control, variance_bars, views_forest
from clip360.figures.layout import model_panels
from clip360.figures.pretraining import learning_curves, scores_by_task, training_images
from clip360.figures.style import model_label, set_style
from clip360.figures.test_diagnostics import qq_plots
from clip360.figures.textual_probe import KIND_LABELS, contrasts_by_kind, gain_distributions
from clip360.figures.token_analysis import ablation_dots, layer_lines
from clip360.figures.visual_probe import change_distributions, shift_curves
from clip360.stats.claims import Claim

ROOT = Path(__file__).parents[2]
BASES = [f"vit_{size}_{data}" for size in ("b_32", "b_16", "l_14") for data in ("laion400m", "laion2b", "openai")]
MODELS = [
    *BASES,
    *(f"vit_{name}_quickgelu" for name in ("b_32_laion400m", "b_32_openai", "b_16_openai", "l_14_openai")),
]
SETS = ["360_real", "360_syn"]
VIEWS = ["center_crop", "squash", "letterbox", "wide", "multi_view"]
INTERVAL = "99 % intervals over images"


@pytest.fixture(autouse=True)
def style():
    set_style()
    yield
    plt.close("all")


def rows(**levels) -> pd.DataFrame:
    """A row for each combination."""
    return pd.DataFrame(list(product(*levels.values())), columns=list(levels))


def with_interval(table: pd.DataFrame, *columns: str, scale: float = 1.0) -> pd.DataFrame:
    """The table with values in ``columns``, another in every row, and the ends of their intervals."""
    value = scale * (0.2 + 0.6 * np.random.default_rng(0).random((len(columns), len(table))))
    for column, x in zip(columns, value, strict=True):
        table = table.assign(**{column: x, f"{column}_low": 0.7 * x, f"{column}_high": 1.3 * x})
    return table


def noisy(table: pd.DataFrame, column: str) -> pd.DataFrame:
    return table.assign(**{column: np.random.default_rng(1).normal(5, 4, len(table))})


def variance():
    parts = with_interval(rows(model=MODELS, image_set=SETS, view=VIEWS), "sd", scale=20)
    return variance_bars(parts.assign(content_sd=0.8 * parts.sd, position_sd=0.6 * parts.sd), interval=INTERVAL)


def bounds():
    table = rows(model=MODELS, image_set=SETS, control=["mirror", "rendered_again", "small_shift", "jpeg"])
    return ratios_by_control(with_interval(table, "of_beta", scale=20), interval=INTERVAL)


def views():
    table = rows(model=MODELS, image_set=SETS, view=VIEWS).assign(n_shifts_averaged=1)
    return views_forest(with_interval(table, "relative_sd", "recall"), interval=INTERVAL)


def curves():
    shifts = np.arange(32) / 32
    curve = noisy(rows(model=MODELS, image_set=SETS, shift=shifts), "median").assign(low=1.0, high=12.0)
    tests = with_interval(rows(model=MODELS, image_set=SETS, shift=shifts[4::4]), "median_abs_diff", scale=10)
    return shift_curves(curve, tests.assign(beta=6.0, stable=tests["shift"] > 0.4), interval=INTERVAL)


def changes():
    table = noisy(rows(model=MODELS, image_set=SETS, compared=["mirror", "shift"], image=range(40)), "change")
    bound = with_interval(rows(model=MODELS, image_set=SETS), "beta", scale=9)
    return change_distributions(table, bound, shift_label="at half a turn", interval=INTERVAL)


def quantiles():
    table = noisy(
        noisy(rows(experiment=["textual", "visual"], model=MODELS, image_set=SETS, image=range(40)), "x"), "y"
    )
    return qq_plots(table.assign(y=table.image * 0.1), alpha=0.01)


def gains():
    cues = pd.DataFrame({"condition": ["format_cue", "generic_cue"], "cue": ["360 panorama", "photo"]})
    table = rows(model=MODELS, image_set=SETS, view=["panorama", "perspective"], image=range(12))
    return gain_distributions(
        noisy(table.merge(cues, "cross").assign(measure="clip_score"), "value"), generic_cue="photo"
    )


def kinds():
    table = with_interval(rows(model=MODELS, image_set=SETS, kind=[*KIND_LABELS]), "contrast", scale=60)
    return contrasts_by_kind(table, interval=INTERVAL)


def ablations():
    names = ["baseline", "shifts by whole patches", "circular positions", "positions by row, whole patches"]
    table = rows(view=["squash", "wide"], model=MODELS[::3], image_set=SETS, ablation=names)
    return ablation_dots(with_interval(table, "variance_left"), interval=INTERVAL)


def layers():
    table = rows(view=["squash", "wide"], model=MODELS, positional_embedding=["own", "circular"], layer=range(25))
    table = table[(table.layer <= 12) | table.model.str.startswith("vit_l")]  # networks of different depths
    return layer_lines(with_interval(table, "change"), interval=INTERVAL)


def attributes():
    subsets = ["colour", "material", "pattern", "shape", "hard", "medium", "easy", "trivial"]
    table = with_interval(rows(model=MODELS, subset=subsets, view=["panorama", "crop"]), "advantage")
    names = {model: model_label(model) for model in MODELS}
    return attributes_by_subset(table.assign(decided=True), names, by="model", interval=INTERVAL)


def costs():
    pairs = pd.DataFrame(
        {"task": ["image_to_text", "offset_consistency", "attributes"], "other": ["perspective"] * 2 + ["crop"]}
    )
    table = with_interval(rows(model=MODELS).merge(pairs, "cross"), "change")
    return view_cost_bars(table.assign(decided=True), interval=INTERVAL)


def claims():
    of = [
        Claim(name, "CLIP is not stable under circular shifts", "t", "mean", "change over β", above=0.1)
        for name in "ab"
    ]
    of_lora = [f"lora_attention, λ = {k}" for k in range(6)]
    table = rows(claim=["a", "b"], model=MODELS, image_set=SETS, finetuning=of_lora)
    table = with_interval(table, "mean").assign(case_verdict="holds", replicates=0, value=0.0)
    return claims_forest(table, of, alpha=0.01)


def pretraining():
    tasks = ["zero-shot scene category, top-1", "image to text, R@5 of 256", "text to image, R@1 of 256"]
    return scores_by_task(with_interval(rows(model=MODELS, task=tasks), "score").assign(chance=0.01), interval=INTERVAL)


def losses():
    return learning_curves(noisy(rows(model=MODELS, step=range(30)), "loss"))


def images():
    return training_images(pd.DataFrame({"model": MODELS, "views": 16000, "panoramas": 4800}))


def capability_changes():
    yaml.SafeLoader.add_constructor("!replace", lambda loader, node: loader.construct_mapping(node, deep=True))
    paper = yaml.safe_load((ROOT / "profiles/paper.yaml").read_text())
    runs = paper["finetune"]["runs"] | paper["adaptation"]["runs"]
    specs = pd.DataFrame(
        {
            "model": name,
            "method": run["method"],
            "lam": run["lam"],
            "shift_range": "-".join(f"{end:g}" for end in run["shift_range"]),
            "reference": ", ".join([run["model"], *([run["view"]] if "view" in run else [])]),
        }
        for name, run in runs.items()
    )
    tasks = rows(task=["scene_category", "image_to_text", "presence", "attributes"], view=["panorama", "perspective"])
    return capability_heatmap(specs.merge(tasks, "cross").assign(frozen=0.46, change=-0.28, decided=True))


FIGURES = [
    variance,
    bounds,
    views,
    curves,
    changes,
    quantiles,
    gains,
    kinds,
    ablations,
    layers,
    attributes,
    costs,
    claims,
]
FIGURES += [pretraining, losses, images, capability_changes]


def drawn_texts(figure, monkeypatch) -> list[Text]:
    """The texts that stand on the page, without those of hidden ticks."""
    drawn, draw = {}, Text.draw

    def record(text, renderer):
        draw(text, renderer)
        drawn[text] = None

    with monkeypatch.context() as patch:
        patch.setattr(Text, "draw", record)
        figure.canvas.draw()
    return [text for text in drawn if text.get_visible() and text.get_text().strip()]


@pytest.mark.parametrize("make", FIGURES, ids=lambda make: make.__name__)
def test_texts_of_thirteen_models_stand_apart(make, monkeypatch):
    figure = make()
    figure.set_dpi(200)  # as in files; letters of few pixels are wider
    texts = drawn_texts(figure, monkeypatch)
    boxes = [text.get_window_extent() for text in texts]
    overlapping = [
        (one.get_text(), other.get_text())
        for (one, a), (other, b) in combinations(zip(texts, boxes, strict=True), 2)
        if a.padded(-0.5).overlaps(b.padded(-0.5))
    ]
    assert not overlapping
    outside = [
        text.get_text()
        for text, box in zip(texts, boxes, strict=True)
        if box.x0 < -1 or box.y0 < -1 or box.x1 > figure.bbox.width + 1 or box.y1 > figure.bbox.height + 1
    ]
    assert not outside
    words = " ".join(text.get_text() for text in texts).replace("\n", " ")
    named = MODELS[::3] if make is ablations else BASES[:1] if make is capability_changes else MODELS
    assert all(model_label(model) in words for model in named)


def test_panels_of_models_share_axes_and_name_the_outer_ones():
    placed = model_panels([f"model {k}" for k in range(5)], [1.0, 1.0], left=0.5, sharex="row")
    assert placed.axes.shape == (2, 5) and placed.n_columns == 3 and len(placed.figure.axes) == 10
    placed.axes[1, 4].set(xlim=(0, 7), ylim=(0, 9))
    assert {axis.get_xlim() for axis in placed.axes[1]} == {(0, 7)} and placed.axes[0, 0].get_xlim() != (0, 7)
    assert {axis.get_ylim() for axis in placed.axes.flat} == {(0, 9)}
    labelled = [axis.yaxis.get_tick_params()["labelleft"] for axis in placed.axes[0]]
    assert labelled == [True, False, False, True, False]
