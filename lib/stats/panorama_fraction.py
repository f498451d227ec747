"""Sensitivity to cues and to shifts as functions of the share of panoramas in training."""

import numpy as np
import pandas as pd
from scipy.stats import page_trend_test, spearmanr

from clip360.stats.signed_rank import holm

MEASURES = {
    "contrast": "format cues:\ncontrast, points",
    "sd_crop": "centre crop:\nsd over shifts, points",
    "sd_whole": "squashed:\nsd over shifts, points",
    "own_share": "centre crop:\nthe model's own part",
}


def sweep_table(cues: pd.DataFrame, parts: pd.DataFrame, share: dict[str, float]) -> pd.DataFrame:
    """One row for each world, model and image set: its ``share`` and the MEASURES, each with its interval over images.

    ``cues`` are the tables textual_summary, ``parts`` decomposition, of all worlds, with a column world.
    """
    keys = ["world", "model", "image_set"]
    crop, whole = (parts[parts["view"] == view].set_index(keys) for view in ("center_crop", "squash"))
    contrast = cues.set_index(keys)
    columns = {}
    for end, other in (("", ""), ("_low", "_high"), ("_high", "_low")):
        columns |= {f"contrast{end}": contrast[f"contrast{end}"], f"sd_crop{end}": crop[f"sd{end}"]}
        columns |= {f"sd_whole{end}": whole[f"sd{end}"], f"own_share{end}": 1 - crop[f"share{other}"]}
    table = pd.DataFrame(columns).reset_index()
    table.insert(2, "share", table.model.map(share))
    if table.isna().any(axis=None):
        raise ValueError(f"the sweep lacks numbers: {', '.join(share)} are expected in every world")
    return table.sort_values(["image_set", "world", "share"], ignore_index=True)


def trends(table: pd.DataFrame) -> pd.DataFrame:
    """Does a measure rise or fall with the share, in every world alike? Page's trend test, worlds as blocks, exact.

    ``rho`` is the mean over worlds of Spearman's correlation; the test is one-sided towards its sign and therefore doubled;
    ``p_holm`` is corrected over all rows; ``least`` and ``most`` are the means at the smallest and the largest share.
    """
    rows = []
    for image_set, part in table.groupby("image_set", sort=False):
        for measure in MEASURES:
            blocks = part.pivot(index="world", columns="share", values=measure)
            rho = np.mean([spearmanr(blocks.columns, block).statistic for block in blocks.to_numpy()])
            test = page_trend_test(np.sign(rho or 1) * blocks.to_numpy(), method="exact")
            row = {"image_set": image_set, "measure": measure, "worlds": len(blocks), "rho": rho}
            ends = {"least": blocks.iloc[:, 0].mean(), "most": blocks.iloc[:, -1].mean()}
            rows.append(row | ends | {"p": min(1.0, 2 * test.pvalue)})
    found = pd.DataFrame(rows)
    return found.assign(p_holm=holm(found.p))
