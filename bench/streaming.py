"""`python -m lib.score` on few and on many pictures: pictures a second, and the peak of its memory."""

import json
import subprocess
import sys
from pathlib import Path

from bench.inputs import multiply
from lib.imageset import ImageSet


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
    command = [sys.executable, "-m", "lib.score", images, "--model", model, "--device", device, "--out", out]
    measured = [sys.executable, Path(__file__).with_name("peak.py"), *command]
    done = subprocess.run(measured, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"python -m lib.score failed: {done.stderr.strip().splitlines()[-1]}")
    return json.loads(done.stdout)
