"""Losses of the first and the last epoch, from a log made by hand."""

import numpy as np
import pandas as pd
import pytest

from clip360.stats.inference import Inference
from clip360.stats.training_curves import first_and_last_epoch


def test_epochs_are_those_at_the_ends_of_the_log():
    """Three epochs of two steps; the one in the middle counts nowhere."""
    values = np.array([4.0, 6.0, 100.0, 100.0, 1.0, 2.0])
    log = pd.DataFrame({"loss": values, "consistency": 2 * values, "anchor": np.ones(6)})
    policy = Inference(alpha=0.01, n_bootstrap=500, seed=0)
    table = first_and_last_epoch({"run": log}, {"run": 3}, inference=policy).set_index("measure")
    assert table.loc["loss", ["first", "last", "ratio"]].tolist() == pytest.approx([5.0, 1.5, 0.3])
    assert table.loc["loss", ["first_low", "first_high"]].tolist() == [4.0, 6.0]
    assert table.loc["consistency", ["first", "ratio"]].tolist() == pytest.approx([10.0, 0.3])
    assert table.loc["anchor", ["ratio_low", "ratio_high"]].tolist() == [1.0, 1.0]
