"""Sensitivity to cues and to shifts as functions of the fraction of panoramas in the pretraining images."""

from collections.abc import Mapping

import numpy as np
import pandas as pd
from scipy.stats import page_trend_test, spearmanr

from clip360.stats.inference import holm

MEASURES = {  # column: title of its panel in a figure
    "contrast": "format cues:\ncontrast, points",
    "sd_crop": "centre crop:\nsd over shifts, points",
    "sd_whole": "squashed:\nsd over shifts, points",
    "position_fraction": "centre crop:\nposition's fraction",
}


def fraction_table(cues: pd.DataFrame, parts: pd.DataFrame, fractions: Mapping[str, float]) -> pd.DataFrame:
    """One row for each replicate, model and image set: its ``panorama_fraction`` and the MEASURES, with intervals.

    ``cues`` are the rows of ``summarise_cues`` and ``parts`` those of ``decompose`` of all replicates, with a column
    replicate; ``fractions`` gives the fraction of panoramas by model. Raises ValueError where a number is missing.
    """
    keys = ["replicate", "model", "image_set"]
    crop, squash = (parts[parts["view"] == view].set_index(keys) for view in ("center_crop", "squash"))
    contrast = cues.set_index(keys)
    columns = {}
    for end, opposite in (("", ""), ("_low", "_high"), ("_high", "_low")):
        columns |= {f"contrast{end}": contrast[f"contrast{end}"], f"sd_crop{end}": crop[f"sd{end}"]}
        columns |= {f"sd_whole{end}": squash[f"sd{end}"]}
        columns |= {f"position_fraction{end}": 1 - crop[f"content_fraction{opposite}"]}
    table = pd.DataFrame(columns).reset_index()
    table.insert(2, "panorama_fraction", table.model.map(fractions))
    if table.isna().any(axis=None):
        raise ValueError(f"a replicate lacks a measure of a model: expected {', '.join(fractions)} in every replicate")
    return table.sort_values(["image_set", "replicate", "panorama_fraction"], ignore_index=True)


def trends(table: pd.DataFrame) -> pd.DataFrame:
    """Does a measure rise or fall with the fraction, in every replicate alike? Page's trend test, exact, replicates as blocks.

    Page (J. Am. Stat. Assoc. 58, 1963). ``rho`` is the mean over replicates of Spearman's correlation; the test is
    one-sided towards its sign and ``p`` therefore doubled; ``p_holm`` is corrected over all rows; ``minimum`` and
    ``maximum`` are the means of the measure at the smallest and at the largest fraction.
    """
    rows = []
    for image_set, part in table.groupby("image_set", sort=False):
        for measure in MEASURES:
            blocks = part.pivot(index="replicate", columns="panorama_fraction", values=measure)
            rho = np.mean([spearmanr(blocks.columns, block).statistic for block in blocks.to_numpy()])
            test = page_trend_test(np.sign(rho or 1) * blocks.to_numpy(), method="exact")
            row = {"image_set": image_set, "measure": measure, "replicates": len(blocks), "rho": rho}
            ends = {"minimum": blocks.iloc[:, 0].mean(), "maximum": blocks.iloc[:, -1].mean()}
            rows.append(row | ends | {"p": min(1.0, 2 * test.pvalue)})
    tests = pd.DataFrame(rows)
    return tests.assign(p_holm=holm(tests.p))
