"""Made panoramas with made scores, in the files of `clip360 score` and `clip360 compare`, without any model."""

import hashlib
import json
from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image

from clip360.commands.comparison_files import describe, write_comparison
from clip360.data.image_set import ImageSet, load_image_set
from clip360.geometry.seam_measures import VISIBLE
from clip360.stats.comparison import compare, shared_metrics, visible_faults
from clip360.stats.inference import Inference
from clip360.stats.score_summary import clamped_columns, metric_means, rank_correlations

INFERENCE = Inference(0.01, 200, 0)
YAWS = [0, -45, -90, -135, -180, 135, 90, 45]  # of the camera, in the order of shifts
# What the camera sees at each yaw.
COLOURS = dict(zip(YAWS, ["red", "lime", "blue", "yellow", "cyan", "magenta", "white", "orange"], strict=True))
PROTOCOLS = ("half-crop", "squash")


def sectors(width: int = 256) -> Image.Image:
    """A panorama of which every direction has the colour of ``COLOURS``."""
    picture = Image.new("RGB", (width, width // 2))
    for yaw, colour in COLOURS.items():
        middle = round(width * (0.5 + yaw / 360))
        for x in range(middle - width // 16, middle + width // 16):
            picture.paste(colour, (x % width, 0, x % width + 1, width // 2))
    return picture


def write_set(folder: Path, captions: list[str], names: list[str] | None = None) -> ImageSet:
    """An image set of copies of one panorama."""
    (folder / "images").mkdir(parents=True)
    names = names or [f"image_{k:05}.png" for k in range(len(captions))]
    sectors().save(folder / "first.png")
    for name in names:
        (folder / "images" / name).hardlink_to(folder / "first.png")
    pd.DataFrame({"image": names, "caption": captions}).to_csv(folder / "captions.csv", index=False)
    return load_image_set(folder)


def records_of(images: ImageSet, *, seed: int = 0, seam: float = 2.0, better: float = 0.0) -> list[dict]:
    """Records of scores.jsonl with made scores, many of them equal; ``better`` is added to all."""
    rng = np.random.default_rng(seed)
    records = []
    for image, caption in zip(images.table.image, images.table.caption, strict=True):
        shifts = (rng.normal(25, 3, len(YAWS)).round(1) + better).tolist()
        squash, faults = (
            shifts[0],
            dict(zip(VISIBLE, rng.exponential([seam, 0.4, 0.1, 0.5, 0.6]).tolist(), strict=True)),
        )
        records.append(
            {
                "image": image, "caption": caption, "sha256": hashlib.sha256(f"{seed} {image}".encode()).hexdigest(),
                "by_group": {"shifts": {str(yaw): score for yaw, score in zip(YAWS, shifts, strict=True)}},
                "score": shifts[0], "robust": float(np.mean(shifts)), "spread": float(np.std(shifts)),
                "worst": min(shifts), "worst_yaw": float(YAWS[int(np.argmin(shifts))]),
                **faults, "half-crop": float(rng.normal(25, 3) + better), "squash": squash,
            }
        )  # fmt: skip
    return records


def table_of(records: list[dict]) -> pd.DataFrame:
    """The columns of scores.csv."""
    return pd.DataFrame([{k: v for k, v in record.items() if k not in ("sha256", "by_group")} for record in records])


def summary_of(records: list[dict], *, model: str = "made") -> dict:
    """What summary.json holds."""
    table = table_of(records)
    protocols = {
        name: {"hash": f"{k:08x}", "shows": f"what {name} shows", "sphere_fraction": 1.0, "forward_passes": 1}
        for k, name in enumerate(("shifts", *PROTOCOLS))
    }
    protocols["shifts"]["by_yaw"] = {}
    return {
        "model": {"name": model, "weights_sha256": "0" * 64},
        "versions": {"clip360": "1.0.0"},
        "cue": None,
        "n": len(records),
        "n_truncated": 1,
        "n_zero": {name: int((table[name] == 0).sum()) for name in clamped_columns(PROTOCOLS)},
        "interval": {"level": 0.99, "n_bootstrap": INFERENCE.n_bootstrap, "seed": 0},
        "metrics": metric_means(table, inference=INFERENCE),
        "rank_correlations": rank_correlations(table, PROTOCOLS),
        "protocols": protocols,
    }


def write_reports(folder: Path, generators: dict[str, list[dict]]) -> Path:
    """The files of `clip360 score` for each generator, and those of `clip360 compare`; returns the folder of the latter."""
    scores, summaries, reports = {}, {}, []
    for k, (name, records) in enumerate(generators.items()):
        reports.append(folder / f"report_{k}")
        reports[-1].mkdir(parents=True)
        (reports[-1] / "scores.jsonl").write_text("".join(json.dumps(record) + "\n" for record in records))
        scores[name], summaries[name] = table_of(records), summary_of(records)
    metrics = shared_metrics(scores)
    scores = visible_faults(scores, VISIBLE)
    table = compare(scores, metrics, inference=INFERENCE)
    out = folder / "comparison"
    description = describe(
        out, list(generators), reports, dict.fromkeys(generators), summaries, metrics, reference=None, baseline=None, inference=INFERENCE
    )  # fmt: skip
    write_comparison(out, description, scores, table, None)
    return out
