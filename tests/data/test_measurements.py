"""Measurements come back complete and in order; a missing one is named."""

import pandas as pd
import pytest

from clip360.data.measurements import read_measurements


def write(path, **columns):
    path.parent.mkdir(parents=True, exist_ok=True)
    frame = pd.DataFrame(columns)
    frame.to_parquet(path) if path.suffix == ".parquet" else frame.to_csv(path, index=False)


def test_measurements_of_models_and_image_sets_follow_the_order_asked_for(tmp_path):
    for model in "ab":
        write(tmp_path / f"{model}.parquet", value=[model])
        for image_set in ("x", "y"):
            write(tmp_path / f"{model}__{image_set}.parquet", value=[f"{model}{image_set}", "last"])
    assert read_measurements(tmp_path, ["b", "a"]).value.tolist() == ["b", "a"]
    table = read_measurements(tmp_path, ["b", "a"], ["y", "x"])
    assert table.value.tolist() == ["by", "last", "bx", "last", "ay", "last", "ax", "last"]
    assert table.index.tolist() == list(range(8))


def test_what_is_missing_is_named(tmp_path):
    write(tmp_path / "a__x.parquet", value=[1])
    with pytest.raises(FileNotFoundError, match="a__y.parquet does not exist: run the stage"):
        read_measurements(tmp_path, ["a"], ["x", "y"])
    with pytest.raises(ValueError, match="at least one model or run"):
        read_measurements(tmp_path, ["a"], [])
