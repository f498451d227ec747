"""A notebook reads its own tables and those that replicates kept of it; a missing one is named."""

import pandas as pd
import pytest

from clip360.figures.tables import read_all_findings, read_tables, write_table


def test_tables_of_this_run_come_before_those_of_its_replicates(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    folders = ["figures/a", "figures/replicates/r2/a", "figures/replicates/r1/a"]
    for k, folder in enumerate(folders):
        for name in ("t", "u"):
            write_table(pd.DataFrame({"lam": [float(k)]}), tmp_path / folder / name)
    tables = read_tables("figures/a", ["t", "u", "t"], ["r2", "r1"])
    assert {name: [table.lam.item() for table in runs] for name, runs in tables.items()} == {
        "t": [0, 1, 2],
        "u": [0, 1, 2],
    }
    with pytest.raises(FileNotFoundError, match="r3/a/t.csv does not exist: .* `make replicates`"):
        read_tables("figures/a", ["t"], ["r3"])


def test_findings_of_all_notebooks_stand_in_one_table(tmp_path):
    rows = {
        "claim": ["x", "x", "y"],
        "statement": ["X", "X", "Y"],
        "replicates": 5,
        "verdict": ["holds", "holds", "refuted"],
    }
    write_table(pd.DataFrame(rows), tmp_path / "02_b" / "findings")
    write_table(pd.DataFrame(rows).head(2), tmp_path / "01_a" / "findings")
    table = read_all_findings(tmp_path)
    assert table.values.tolist() == [
        ["01_a", "x", "X", 2, 5, "holds"],
        ["02_b", "x", "X", 2, 5, "holds"],
        ["02_b", "y", "Y", 1, 5, "refuted"],
    ]
    assert read_all_findings(tmp_path / "none").empty
