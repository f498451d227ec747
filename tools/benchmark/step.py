"""A step of training a small CLIP, and a product of large matrices, on one core: prints seconds and GFLOP as JSON.

A process of its own, so that two can run at once: cores that share units or memory are slower together.
"""

import json
import tempfile
import time
from pathlib import Path

import torch
from torch.utils.flop_counter import FlopCounterMode

from clip360.models.clip import new_clip, write_configuration
from clip360.models.pretraining import train_clip
from pipeline.parameters import read_params

STEPS, SIDE = 10, 2048


def training() -> tuple[float, float]:
    """Seconds and GFLOP of a step, as `params.yaml` has it, on pictures of noise."""
    recipe = read_params()["pretrain"]
    side = recipe["architecture"]["vision_cfg"]["image_size"]
    images = torch.randint(256, (recipe["optimisation"]["batch"], 3, side, side), dtype=torch.uint8)
    texts = [[f"picture {k}"] for k in range(len(images))]
    with tempfile.TemporaryDirectory() as folder:
        write_configuration(Path(folder), recipe["architecture"])

        def seconds(steps: int) -> float:
            clip, start = new_clip(Path(folder), seed=0, device="cpu"), time.perf_counter()
            train_clip(clip, images, texts, **recipe["optimisation"] | {"steps": steps, "warmup": 1})
            return time.perf_counter() - start

        with FlopCounterMode(display=False) as counter:
            seconds(1)
        once = seconds(1)
        return (seconds(1 + STEPS) - once) / STEPS, counter.get_total_flops() / 1e9


def product() -> tuple[float, float]:
    """Seconds and GFLOP of a product of matrices that are large enough to keep a core at its best, the best of ten."""
    matrix, taken = torch.rand(SIDE, SIDE), []
    for _ in range(10):
        start = time.perf_counter()
        matrix @ matrix
        taken.append(time.perf_counter() - start)
    return min(taken), 2 * SIDE**3 / 1e9


if __name__ == "__main__":
    step, multiplied = training(), product()
    print(json.dumps({"step": step, "product": multiplied}))
