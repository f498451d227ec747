"""Positional ablations and the seam's effect on scores that were made for them."""

import numpy as np
import pandas as pd
import pytest

from clip360.stats.inference import Inference
from clip360.stats.token_analysis import positional_ablations, seam_effect, token_changes_by_layer

RESAMPLING = {"inference": Inference(alpha=0.01, n_bootstrap=100, seed=0)}
N, FRACTIONS = 40, np.arange(16) / 16
WHOLE_PATCHES = np.arange(16) % 2 == 0
BASE = np.random.default_rng(4).normal(50, 5, N)


def rolls() -> pd.DataFrame:
    """Scores with a wave over positions, which a positional embedding by row removes, and a step between half patches."""
    wave, phase = np.cos(2 * np.pi * FRACTIONS), np.where(WHOLE_PATCHES, 0.0, 1.0)
    added = {"own": 2 * wave + phase, "circular": wave + phase, "rows": phase}
    rows = [
        {
            "image": k,
            "positional_embedding": kind,
            "level": level,
            "whole_patches": whole,
            "measure": measure,
            "value": value,
        }
        for kind, extra in added.items()
        for k in range(N)
        for level, whole, x in zip(FRACTIONS, WHOLE_PATCHES, extra, strict=True)
        for measure, value in (("clip_score", BASE[k] + x), ("image_to_text_rank", 1.0 + k % 2))
    ]
    return pd.DataFrame(rows).assign(model="m", image_set="set", view="wide", condition="roll")


def test_ablations_remove_what_was_put_in():
    table = positional_ablations(rolls(), **RESAMPLING).set_index("ablation")
    assert table.variance_left["positions by row"] == pytest.approx(0.25 / (2 + 0.25))
    assert table.variance_left["positions by row, whole patches"] == pytest.approx(0, abs=1e-12)
    assert table.recall.tolist() == [0.5] * 5
    assert table.between_images["circular positions"] == pytest.approx(1)


def test_a_seam_that_cuts_an_object_costs_what_was_put_in():
    visibility = pd.DataFrame(
        [
            {"image_set": "set", "image": k, "object": 0, "column": (c + k) % 32, "fraction": 0.1}
            for k in range(N)
            for c in range(10)
        ]
    )
    own = rolls()[lambda table: (table.positional_embedding == "own") & (table.measure == "clip_score")].copy()
    edge = np.round((1 - own.level) * 32).astype(int) % 32
    cut = ((edge - own.image) % 32).between(1, 9)
    own["value"] = BASE[own.image] - 3.0 * cut
    row = seam_effect(own, visibility, width=32, **RESAMPLING).iloc[0]
    assert row["drop"] == pytest.approx(-3) and row.variance_left == pytest.approx(0, abs=1e-12)
    root_mean_variance = np.sqrt(own.groupby("image").value.var().mean())
    assert row.drop_of_sd == pytest.approx(-3 / root_mean_variance)


def test_token_changes_are_means_over_images():
    layers = pd.DataFrame(
        [{"image": k, "layer": layer, "change": 0.1 * layer + 0.01 * k} for layer in (0, 1) for k in range(3)]
    ).assign(model="m", image_set="set", view="wide", positional_embedding="own")
    table = token_changes_by_layer(layers, **RESAMPLING)
    assert table.change.tolist() == pytest.approx([0.01, 0.11])
    assert (table.change_low <= table.change).all() and (table.change <= table.change_high).all()
