"""How fast a machine is, and the seconds that work takes on it."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace

from pipeline.plan.work import Work
from pipeline.stages import Stage

TABLE_SECONDS, NOTEBOOK_SECONDS = 3.0, 11.0  # a stage that only makes tables, or a notebook: medians of runs of `world`
MEGA = 1e6


@dataclass(frozen=True)
class Rates:
    """The speed of a machine.

    flops       floating-point operations per second of the device, by those of one forward pass: small networks are slower
    training    speed of a training step, relative to ``flops``
    decode      decoded pixels per second and core
    resize      pixels per second and core that PIL resizes, counted before the resize
    render      rendered pixels per second and core
    head_step   seconds of a training step of a small head
    startup     seconds in which a stage and DVC start, without any work
    disk        bytes per second
    cores       of the processor, which decode, resize and render
    on_gpu      does a GPU embed while the cores prepare its inputs?
    """

    flops: Mapping[float, float]
    training: float
    decode: float
    resize: float
    render: float
    head_step: float
    startup: float
    disk: float
    cores: int
    on_gpu: bool = False

    def flops_of(self, pass_flops: float) -> float:
        """Operations per second of a network, between the measured ones on a logarithmic scale, beyond them as the nearest.

        >>> REFERENCE.flops_of(3.6e7) / 1e9, REFERENCE.flops_of(1e12) / 1e9
        (51.0, 100.0)
        """
        (small, slow), *_, (large, fast) = (points := sorted(self.flops.items()))[0], points[-1]
        if small == large or pass_flops <= small:
            return slow
        position = min(math.log(pass_flops / small) / math.log(large / small), 1)
        return slow * (fast / slow) ** position


# Measured by `--calibrate` on the machine of docs/pipeline.md, as the profile `world` computes: one thread, one code path.
REFERENCE = Rates(
    flops={3.6e7: 51e9, 8.8e9: 100e9},
    training=1.0,
    decode=130 * MEGA,
    resize=105 * MEGA,
    render=0.55 * MEGA,
    head_step=0.004,
    startup=6.5,
    disk=500 * MEGA,
    cores=2,
)


def given(rates: Rates, *, flops: float | None, decode: float | None, cores: int | None) -> Rates:
    """The rates with those that the user gives: operations per second, megapixels per second and core, cores.

    Raises ValueError for a rate that is no positive number. With ``flops`` the device is taken for a GPU.
    """
    for name, value in {"--flops": flops, "--decode": decode, "--cores": cores}.items():
        if value is not None and not (math.isfinite(value) and value > 0):
            raise ValueError(f"{name} is {value:g}: expected a positive number")
    if flops is not None:
        rates = replace(rates, flops={1.0: flops}, training=1.0, on_gpu=True)
    if decode is not None:
        rates = replace(rates, decode=decode * MEGA, resize=decode * MEGA)
    return rates if cores is None else replace(rates, cores=cores)


def workers_of(rates: Rates, threads: int | None) -> int:
    """How many stages run at a time, as ``pipeline.run_parallel`` decides it."""
    return max(1, rates.cores // threads) if threads else 1


def device_seconds(work: Work, rates: Rates) -> float:
    """How long the floating-point operations of a stage take, with or without a gradient."""
    speed = rates.flops_of(work.pass_flops)
    return work.flops / speed + work.training_flops / (rates.training * speed)


def wall_seconds(total: float, on_device: float, rates: Rates, *, workers: int) -> float:
    """How long stages of ``total`` seconds take, ``workers`` at a time, of which ``on_device`` are floating-point operations.

    Cores are shared out; a GPU is one for all stages.

    >>> wall_seconds(800.0, 300.0, REFERENCE, workers=8), wall_seconds(800.0, 300.0, replace(REFERENCE, on_gpu=True), workers=8)
    (100.0, 300.0)
    """
    return max(total / workers, on_device if rates.on_gpu else 0.0)


def seconds(stage: Stage, work: Work, rates: Rates, *, workers: int) -> float:
    """How long a stage runs, its share of the cores being that of one of ``workers`` stages."""
    if work == Work():
        return NOTEBOOK_SECONDS if stage.is_notebook else TABLE_SECONDS
    trains = work.steps > 0  # fine-tuning prepares its images in the process that trains, one after the other
    cores = 1.0 if trains else max(1.0, rates.cores / workers)
    preparation = (work.decoded / rates.decode + work.resized / rates.resize) / cores
    speed = rates.flops_of(work.pass_flops)
    embedding = work.flops / speed
    training = work.training_flops / (rates.training * speed) + work.head_steps * rates.head_step
    computing = max(embedding, preparation) if rates.on_gpu and not trains else embedding + preparation
    start = NOTEBOOK_SECONDS if stage.is_notebook else rates.startup
    return start + computing + training + work.rendered / rates.render + work.disk / rates.disk
