"""Written tables: λ's column is renamed once, and comes back."""

import numpy as np
import pandas as pd

from clip360.figures.style import image_set_label, method_words, model_label, view_label
from clip360.figures.tables import read_table, readable, write_table


def test_lam_is_written_as_lambda_and_read_back(tmp_path):
    table = pd.DataFrame({"method": ["lora_attention", "single_pass"], "lam": [0.5, np.nan], "p": [0.0, 0.25]})
    write_table(table, tmp_path / "table")
    assert (tmp_path / "table.csv").read_text().splitlines()[:2] == ["method,lambda,p", "lora_attention,0.5,0"]
    assert "lambda" in (tmp_path / "table.md").read_text().splitlines()[0]
    assert r"lora\_attention & 0.5 & $<$ 1e-300" in (tmp_path / "table.tex").read_text()
    pd.testing.assert_frame_equal(read_table(tmp_path / "table.csv"), table)
    assert list(readable(table)) == ["method", "lambda", "p"] and list(table) == ["method", "lam", "p"]


def test_labels_are_words_and_unknown_names_stay():
    assert [model_label(name) for name in ("clip_p00", "clip_p30", "ViT-B-32")] == [
        "CLIP, 0 % panoramas",
        "CLIP, 30 % panoramas",
        "ViT-B-32",
    ]
    assert [image_set_label(name) for name in ("world_indoor", "360_syn")] == ["indoors", "360 syn"]
    assert view_label("center_crop, content-matched") == "centre crop, content-matched"
    assert method_words("distilled_tower, squash") == "distilled tower, squash"
