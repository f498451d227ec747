"""`python -m clip360.scoring.panorama_scores` on few and on many pictures: pictures a second, and the peak of its memory."""

import json
import subprocess
import sys
from pathlib import Path

from clip360.data.image_set import ImageSet
from tools.benchmark.inputs import multiply


def score_sizes(model: Path, pictures: ImageSet, folder: Path, *, sizes: list[int], device: str) -> list[dict]:
    """A row for each size: how many pictures, how many a second, and what ``score`` says."""
    rows = []
    for size in sizes:
        multiply(pictures, folder / f"{size}", size)
        used = score(model, folder / f"{size}", folder / f"report-{size}", device=device)
        rows.append({"pictures": size, "pictures a second": size / used["seconds"]} | used)
    return rows


def score(model: Path, images: Path, out: Path, *, device: str) -> dict[str, float]:
    """Seconds, core seconds and peak MiB of the command on an image set; RuntimeError with what it said where it fails."""
    command = [
        sys.executable,
        "-m",
        "clip360.scoring.panorama_scores",
        images,
        "--model",
        model,
        "--device",
        device,
        "--out",
        out,
    ]
    measured = [sys.executable, Path(__file__).with_name("peak.py"), *command]
    done = subprocess.run(measured, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"python -m clip360.scoring.panorama_scores failed: {done.stderr.strip().splitlines()[-1]}")
    return json.loads(done.stdout)
