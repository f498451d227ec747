"""`clip360 score` on small and large image sets: images per second and peak memory."""

import json
import os
import subprocess
import sys
from pathlib import Path

from clip360.data.image_set import ImageSet
from pipeline.one_code_path import ENVIRONMENT
from tools.benchmark.inputs import repeat_images


def score_sizes(model: Path, image_set: ImageSet, folder: Path, *, sizes: list[int], device: str) -> list[dict]:
    """A row for each size of set: the number of images, images per second, and what ``score`` measures.

    The sets repeat the images of ``image_set``; they and the reports go to ``folder``.
    """
    rows = []
    for size in sizes:
        repeat_images(image_set, folder / f"{size}", size)
        usage = score(model, folder / f"{size}", folder / f"report-{size}", device=device)
        rows.append({"images": size, "images per second": size / usage["seconds"]} | usage)
    return rows


def score(model: Path, image_set: Path, out: Path, *, device: str) -> dict[str, float]:
    """Seconds, CPU seconds and peak MiB of ``clip360 score`` on an image set; RuntimeError with its message if it fails."""
    command = [sys.executable, "-m", "clip360.cli", "score", image_set]
    command += ["--model", model, "--device", device, "--out", out]
    measured = [sys.executable, Path(__file__).with_name("peak.py"), *command]
    environment = {name: value for name, value in os.environ.items() if name not in ENVIRONMENT}  # as users run it
    done = subprocess.run(measured, capture_output=True, text=True, env=environment)
    if done.returncode:
        raise RuntimeError(f"clip360 score failed: {(done.stderr.strip().splitlines() or ['no message'])[-1]}")
    return json.loads(done.stdout)
