"""Measure how fast this machine is, in less than a minute.

On a processor the time of the process counts, which other programs change little; on a GPU the time of the clock.
"""

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import clip360.models  # noqa: F401  before open_clip, which imports torchvision

# isort: split
import open_clip
import torch
from torch import nn

from clip360.data.image_set import load_image_set, write_image_set
from clip360.evaluation.matching import MATCHERS, new_matcher, train_matcher
from clip360.models.clip import new_clip, usable_device, write_configuration
from clip360.models.pretraining import train_clip
from clip360.scoring.views import network_inputs
from pipeline.parameters import Parameters, parse, validate
from pipeline.plan.networks import Network, quiet
from pipeline.plan.rates import REFERENCE, Rates
from pipeline.profiles import DEFAULT, compose
from pipeline.render_embedded_data import render_panoramas

LARGE = "ViT-B-32"
N_PANORAMAS, HEIGHT = 16, 128  # a batch of the renderer
REPETITIONS = 3
WRITTEN = 1 << 26  # bytes
DVC_SECONDS = 1.5  # that DVC takes for a stage, beside the stage's own process


def calibrate(params: Parameters) -> Rates:
    """The rates of this machine, with the device and the number of threads of a profile.

    Raises ValueError where this machine has no such device.
    """
    device = usable_device(params.compute.device)
    default = validate(parse(compose(DEFAULT), DEFAULT), DEFAULT)
    small = default.pretraining.architecture.model_dump()
    threads = torch.get_num_threads()
    torch.set_num_threads(params.compute.threads or os.cpu_count() or 1)
    try:
        small_rate, training_rate = _small_rates(small, default.pretraining.optimisation.model_dump(), device)
        large = Network(LARGE, open_clip.get_model_config(LARGE))
        rates = replace(
            REFERENCE,
            flops={
                Network("small", small).image_flops: small_rate,
                large.image_flops: _large_rate(large, device),
            },
            training=training_rate / small_rate,
            head_step=_head_step(default),
            startup=_startup(),
            cores=os.cpu_count() or 1,
            on_gpu=device != "cpu",
        )
        return replace(rates, **_image_rates(default))
    finally:
        torch.set_num_threads(threads)


def _time(action: Callable[[], object], device: str = "cpu") -> float:
    """Seconds of an action on all threads, the fastest of several repetitions, after one that does not count."""
    action()
    taken = []
    for _ in range(REPETITIONS):
        start = _now(device)
        action()
        taken.append(_now(device) - start)
    return min(taken)


def _now(device: str) -> float:
    if device != "cpu":
        torch.cuda.synchronize(device)
        return time.perf_counter()
    return time.process_time() / torch.get_num_threads()


@torch.no_grad()
def _tower_rate(network: nn.Module, pass_flops: float, size: tuple[int, int], batch_size: int, device: str) -> float:
    """Operations per second of an image tower."""
    images = torch.rand(batch_size, 3, *size, device=device)
    return batch_size * pass_flops / _time(lambda: network.encode_image(images), device)


def _small_rates(architecture: dict, optimisation: dict, device: str) -> tuple[float, float]:
    """Operations per second of a small CLIP, of its image tower and in training."""
    costs, batch_size = Network("small", architecture), optimisation["batch_size"]
    with tempfile.TemporaryDirectory() as folder:
        write_configuration(Path(folder), architecture)
        with quiet():
            clip = new_clip(Path(folder), seed=0, device=device)
    rate = _tower_rate(clip.network, costs.image_flops, costs.input_size, 64, device)
    images = torch.zeros(batch_size, 3, *costs.input_size, dtype=torch.uint8)
    captions = [[f"image {k}"] for k in range(batch_size)]
    settings = optimisation | {"steps": 1, "warmup_steps": 0}
    with quiet():
        step = _time(lambda: train_clip(clip, images, captions, **settings), device)
    return rate, costs.pretraining_step(batch_size).flops / step


def _large_rate(costs: Network, device: str) -> float:
    with quiet():
        network = open_clip.create_model(LARGE).eval().to(device)
    return _tower_rate(network, costs.image_flops, costs.input_size, 4 if device == "cpu" else 64, device)


def _image_rates(params: Parameters) -> dict[str, float]:
    """Pixels per second that are rendered, decoded and resized, and bytes per second that are written to the disk."""
    recipe = {"split": "probe", "environment": None, "seed": 0, "n_images": N_PANORAMAS, "height": HEIGHT}
    pixels, start = N_PANORAMAS * 2 * HEIGHT**2, time.process_time()
    with quiet():
        records = list(render_panoramas("calibration", format_cues=["photo"], **recipe))
    rendering = time.process_time() - start
    with tempfile.TemporaryDirectory() as folder:
        write_image_set(Path(folder, "set"), records)
        image_set = load_image_set(Path(folder, "set"))
        decoding = _time(lambda: list(map(image_set.read, image_set.table.image))) * torch.get_num_threads()
        write_configuration(Path(folder, "model"), params.pretraining.architecture.model_dump())
        with quiet():
            clip = new_clip(Path(folder, "model"), seed=0, device="cpu")
        panoramas = torch.stack([record.image for record in records])
        resizing = _time(lambda: network_inputs(clip, panoramas)) * torch.get_num_threads()
        start = time.perf_counter()
        with Path(folder, "bytes").open("wb") as file:
            file.write(bytes(WRITTEN))
            os.fsync(file.fileno())
        writing = time.perf_counter() - start
    rates = {"render": pixels / rendering, "decode": pixels / decoding, "resize": pixels / resizing}
    return rates | {"disk": WRITTEN / writing}


def _head_step(params: Parameters) -> float:
    """Seconds of a training step of a head that matches embeddings, the mean over all kinds of heads."""
    width, steps = params.pretraining.architecture.embed_dim, 20
    settings = params.capabilities.matching.model_dump(exclude={"models"}) | {"epochs": 1, "n_validation": 2}
    n = steps * settings["batch_size"] // 2 + 2  # a phase for captions, and one for questions
    images, captions = torch.randn(n, width), torch.randn(n, 11, width)
    matchers = [new_matcher(kind, width, seed=0) for kind in MATCHERS]
    trained = [matcher for matcher in matchers if list(matcher.parameters())]

    def train() -> None:
        for matcher in trained:
            train_matcher(matcher, (images, captions[:, 0]), (images, captions), **settings)

    with quiet():
        return _time(train) / steps / len(trained)


def _startup() -> float:
    """Seconds in which the process of a stage imports its packages, and DVC starts."""
    before = os.times()
    subprocess.run([sys.executable, "-c", "import pipeline.evaluate_model"], check=True)
    after = os.times()
    return after.children_user + after.children_system - before.children_user - before.children_system + DVC_SECONDS
