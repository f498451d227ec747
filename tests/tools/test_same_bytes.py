"""The pipeline computes the same bytes on an emulated processor of another vendor, and the comparison sees where bytes differ."""

import io

import numpy as np
import pandas as pd
import pytest
from safetensors.numpy import save

from tools.file_differences import differences
from tools.same_bytes.runs import compare_processors, describe, emulator, other_processor

# A few steps of each kind: rendering, training, scoring, fine-tuning, a notebook with statistics, tables and a figure.
STAGES = [
    "render_training_pictures",
    "render_image_set@probe",
    "render_image_set@finetune",
    "train",
    "score_probes",
    "finetune@attention",
    "textual_probe",
]


def why_not() -> str:
    """Why processors cannot be compared here; empty where they can."""
    try:
        return emulator() and ""
    except RuntimeError as error:
        return str(error)


@pytest.mark.skipif(bool(why_not()), reason=why_not())
def test_another_processor_computes_the_same_bytes(tmp_path):
    model = other_processor()
    n_files, differing = compare_processors(tmp_path, model, STAGES)
    assert not differing, describe(n_files, differing, model)
    assert n_files > 50


def test_the_comparison_says_by_how_much_files_differ():
    def files(step: float, name: str) -> dict[str, bytes]:
        table, parquet = pd.DataFrame({"x": [1.0, 2.0 + step, np.nan], "name": ["a", "b", name]}), io.BytesIO()
        table.to_parquet(parquet)
        weights = save({"w": np.array([[1.0, 4 * step]], dtype=np.float32)})
        text = table.to_csv(index=False).encode()
        return {"a/t.csv": text, "t.parquet": parquet.getvalue(), "w.safetensors": weights, "README.md": name.encode()}

    assert differences(files(0, "c"), files(0, "c")) == {}
    found = differences(files(0, "c"), files(0.5, "d") | {"new.csv": b""})
    assert found == {
        "README.md": "1 and 1 bytes, first at byte 0",
        "a/t.csv": "by at most 0.5; other entries in name",
        "new.csv": "written by one run only",
        "t.parquet": "by at most 0.5; other entries in name",
        "w.safetensors": "by at most 2",
    }
    assert differences({"t.csv": b"x\n1\n"}, {"t.csv": b"x\n1\n2\n"}) == {"t.csv": "of another shape"}
    assert describe(4, {"t.csv": "by at most 1"}, "Haswell").splitlines()[1:] == ["  t.csv: by at most 1"]
