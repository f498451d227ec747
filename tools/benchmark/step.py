"""Time a training step of a small CLIP and a product of large matrices; print seconds and GFLOP of both as JSON.

    python -m tools.benchmark.step

This is a process of its own, so that two can run at once: cores that share arithmetic units or memory slow each other down.
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

N_STEPS = 10
N_PRODUCTS = 10
SIDE = 2048  # of the square matrices, large enough to keep a core fully busy


def time_training_step() -> tuple[float, float]:
    """Seconds and GFLOP of a training step with the `pretraining` parameters, on images of noise."""
    pretraining = read_params().pretraining
    architecture, optimisation = pretraining.architecture.model_dump(), pretraining.optimisation.model_dump()
    side = pretraining.architecture.vision_cfg.image_size
    images = torch.randint(256, (pretraining.optimisation.batch_size, 3, side, side), dtype=torch.uint8)
    captions = [[f"image {k}"] for k in range(len(images))]
    with tempfile.TemporaryDirectory() as folder:
        write_configuration(Path(folder), architecture)

        def train(steps: int) -> float:
            """Seconds of a training run of ``steps`` steps."""
            clip, start = new_clip(Path(folder), seed=0, device="cpu"), time.perf_counter()
            train_clip(clip, images, captions, **optimisation | {"steps": steps, "warmup_steps": 1})
            return time.perf_counter() - start

        with FlopCounterMode(display=False) as counter:
            train(1)
        one_step = train(1)  # its start-up is subtracted below
        return (train(1 + N_STEPS) - one_step) / N_STEPS, counter.get_total_flops() / 1e9


def time_product() -> tuple[float, float]:
    """Seconds and GFLOP of a matrix product, the fastest of ``N_PRODUCTS``."""
    matrix, seconds = torch.rand(SIDE, SIDE), []
    for _ in range(N_PRODUCTS):
        start = time.perf_counter()
        matrix @ matrix
        seconds.append(time.perf_counter() - start)
    return min(seconds), 2 * SIDE**3 / 1e9


if __name__ == "__main__":
    print(json.dumps({"step": time_training_step(), "product": time_product()}))
