"""Reports of generators, as `clip360 score` writes them, for tests of commands that read them."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from clip360.stats.comparison import METRICS

SHIFTS_HASH = "0" * 8


def write_report(folder: Path, scores: pd.DataFrame, *, protocols: dict[str, str] | None = None, **summary) -> Path:
    """The files of a report on ``scores`` that a comparison reads; ``protocols`` are hashes by name."""
    folder.mkdir(parents=True)
    scores.to_csv(folder / "scores.csv", index=False)
    hashes = (
        {"shifts": SHIFTS_HASH} | {name: "1" * 8 for name in scores.columns[2 + len(METRICS) :]} | (protocols or {})
    )
    content = {
        "model": {"name": "clip", "weights_sha256": "a" * 64},
        "versions": {"clip360": "1.0.0"},
        "cue": None,
        "n": len(scores),
        "n_truncated": 0,
        "metrics": {name: {"mean": scores[name].mean()} for name in scores.columns[2:]},
        "protocols": {name: {"hash": value, "shows": f"views of {name}"} for name, value in hashes.items()},
    }
    (folder / "summary.json").write_text(json.dumps(content | summary))
    return folder


def scores_of(seed: int, n: int, *, captions: str = "caption", better: float = 0.0, **columns) -> pd.DataFrame:
    """A table of scores of n panoramas; scores depend on the caption, on the generator (``seed``), and on ``better``."""
    rng, of_captions = np.random.default_rng(seed), np.random.default_rng(99)
    base = of_captions.normal(30, 4, n)
    table = {"image": [f"{seed}-{k}.png" for k in range(n)], "caption": [f"{captions} {k}" for k in range(n)]}
    for name in (*METRICS, "squash", "views-8"):
        table[name] = (base + better + rng.normal(0, 1, n)).round(4)
    return pd.DataFrame(table | {name: rng.uniform(0.5, 8, n).round(4) for name in ("seam", "poles")} | columns)


@pytest.fixture
def reports(tmp_path) -> list[Path]:
    """Three generators: the second is better than the first at the same captions, the third drew others."""
    tables = {
        "first": scores_of(1, 25),
        "second": scores_of(2, 25, better=2),
        "third": scores_of(3, 18, captions="other"),
    }
    tables["second"] = tables["second"].sample(frac=1, random_state=0)
    return [write_report(tmp_path / name, table) for name, table in tables.items()]
