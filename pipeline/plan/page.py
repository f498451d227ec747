"""The plan of a profile as tables and sentences."""

import json
from dataclasses import asdict
from typing import NamedTuple

import pandas as pd

from pipeline.parameters import PARAMS, Parameters, parse, read_text, validate
from pipeline.plan.context import Context
from pipeline.plan.estimate import WORK, work_of
from pipeline.plan.image_sets import Assumed
from pipeline.plan.limits import other_activations
from pipeline.plan.rates import MEGA, Rates, device_seconds, seconds, wall_seconds, workers_of
from pipeline.run_parallel import dependencies, dvc, stages_to_run
from pipeline.stages import stages_of

GIGA, TERA = 1e9, 1e12
TABLES = "tables and notebooks"
COUNTS = {"panoramas": "panoramas", "image_passes": "image passes", "text_passes": "text passes", "steps": "steps"}


class Plan(NamedTuple):
    """The plan of a profile.

    stages   one row a stage: stage, kind, cached (None where DVC knows nothing of this profile), the counts of ``Work``, seconds,
             device_seconds (those of them that are floating-point operations)
    missing  folders of images that are not there, whose size was assumed
    limits   what models do otherwise than they were trained
    """

    profile: str
    stages: pd.DataFrame
    missing: list[str]
    assumed: Assumed
    limits: list[str]
    rates: Rates
    workers: int


def make_plan(params: Parameters, rates: Rates, assumed: Assumed, *, cached: set[str] | None = None) -> Plan:
    """Count the work of every stage of a profile and estimate its time; ``cached`` as ``cached_stages`` gives it."""
    context, workers, rows = Context(params, assumed), workers_of(rates, params.compute.threads), []
    if params.runs:
        context.sets.finetuning()  # where no panoramas are left to train on, this says so before anything is counted
    for stage in stages_of(params):
        work = work_of(context, stage)
        rows.append(
            {
                "stage": stage.name,
                "kind": stage.kind,
                "cached": None if cached is None else stage.name in cached,
                **asdict(work),
                "seconds": seconds(stage, work, rates, workers=workers),
                "device_seconds": device_seconds(work, rates),
            }
        )
    return Plan(
        params.profile,
        pd.DataFrame(rows),
        sorted(context.sets.missing),
        assumed,
        other_activations(params),
        rates,
        workers,
    )


def cached_stages(params: Parameters) -> set[str] | None:
    """The stages that DVC would not run; None where params.yaml holds other parameters, of which it knows nothing.

    Raises RuntimeError with what DVC complains about.
    """
    if not PARAMS.is_file() or validate(parse(read_text(PARAMS), PARAMS), PARAMS) != params:
        return None
    graph = dependencies(dvc("dag", "--dot"))
    return graph.keys() - stages_to_run(graph, set(json.loads(dvc("status", "--json")))).keys()


def by_kind(stages: pd.DataFrame) -> pd.DataFrame:
    """Sums over the stages of each kind and over all, the largest memory among them; stages that are cached cost nothing.

    Kinds that only make tables and notebooks share the row ``TABLES``.
    """
    kinds, is_cached = stages.kind.where(stages.kind.isin(list(WORK)), TABLES), stages.cached.eq(True)
    todo = stages[~is_cached].groupby(kinds[~is_cached], sort=False)
    sums = ["panoramas", "image_passes", "text_passes", "flops", "steps", "training_flops", "disk", "seconds"]
    table = todo[sums].sum().assign(memory=todo.memory.max())
    table.insert(0, "stages", todo.size())
    order = [*(kind for kind in kinds.unique() if kind != TABLES), *kinds[kinds == TABLES].unique()]
    table = table.reindex(order, fill_value=0)
    table.insert(1, "cached", is_cached.groupby(kinds, sort=False).sum())
    table.loc["total"] = table.sum()
    table.loc["total", "memory"] = table.memory[:-1].max()
    return table


def readable(table: pd.DataFrame) -> pd.DataFrame:
    """The table of ``by_kind`` in the units of the page, as text; zeros are left out."""
    unit, length = unit_of(table.seconds["total"])
    columns = {
        "stages": (table.stages, "{:.0f}"),
        "cached": (table.cached, "{:.0f}"),
        **{name: (table[column], "{:,.0f}") for column, name in COUNTS.items()},
        "TFLOP": ((table.flops + table.training_flops) / TERA, "{:,.3g}"),
        unit: (table.seconds / length, "{:,.1f}"),
        "GB memory": (table.memory / GIGA, "{:,.1f}"),
        "GB disk": (table.disk / GIGA, "{:,.2f}"),
    }
    words = {name: [form.format(x) if x else "" for x in values] for name, (values, form) in columns.items()}
    return pd.DataFrame({"kind of stage": table.index, **words})


def unit_of(total: float) -> tuple[str, float]:
    """The unit for the times of a plan that takes ``total`` seconds, and its length in seconds.

    >>> unit_of(1800), unit_of(86400)
    (('minutes', 60), ('hours', 3600))
    """
    return ("hours", 3600) if total >= 3 * 3600 else ("minutes", 60)


def describe(plan: Plan) -> str:
    """The plan in Markdown."""
    table = by_kind(plan.stages)
    unit, length = unit_of(table.seconds["total"])
    total = table.seconds["total"] / length
    todo = plan.stages[~plan.stages.cached.eq(True)]
    wall = wall_seconds(table.seconds["total"], todo.device_seconds.sum(), plan.rates, workers=plan.workers) / length
    shared = ", which share the GPU" if plan.rates.on_gpu and plan.workers > 1 else ""
    lines = [
        f"The profile {plan.profile}: {total:.1f} {unit} of work, about {wall:.1f} {unit} with"
        f" {plan.workers} stage{'s' if plan.workers > 1 else ''} at a time{shared}.",
        "",
        readable(table).to_markdown(index=False, disable_numparse=True, colalign=("left", *("right",) * 10)),
        "",
        "Image and text passes are those without a gradient; a step is one of training. Memory is that of the device (without its"
        " runtime) in float32, disk that of the results, of which DVC's cache keeps a copy unless the file system can share it.",
        rates_sentence(plan.rates),
    ]
    if plan.stages.cached.isna().all():
        lines.append(
            f"{PARAMS} holds other parameters: what is cached is known once `python -m pipeline.profiles {plan.profile}` has run."
        )
    if plan.missing:
        lines.append(
            f"Not here yet, and taken for {plan.assumed.n_images} panoramas of {2 * plan.assumed.height} x {plan.assumed.height}"
            f" pixels each (--images, --height): {', '.join(plan.missing)}."
        )
    if plan.limits:
        lines += [
            "",
            "What models do otherwise than they were trained:",
            *(f"- {line}" for line in plan.limits),
        ]
    return "\n".join(lines)


def rates_sentence(rates: Rates) -> str:
    """The rates in words."""
    speeds = " to ".join(
        f"{rate / GIGA:,.0f}" for rate in dict.fromkeys(rate for _, rate in sorted(rates.flops.items()))
    )
    return (
        f"Rates: {speeds} GFLOP/s of the {'GPU' if rates.on_gpu else 'processor'} (in training {rates.training:.2f} times as many); a"
        f" core decodes {rates.decode / MEGA:.0f}, resizes {rates.resize / MEGA:.0f} and renders {rates.render / MEGA:.1f} megapixels/s;"
        f" {rates.cores} cores; {rates.startup:.1f} s to start a stage; {rates.disk / MEGA:.0f} MB/s to disk."
    )
