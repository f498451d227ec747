"""What an adapted model gains in stability and loses in capability, against a frozen model (arXiv 2604.24642).

**Reference.** A method is compared with the frozen model *under the method's own view*: what the view gains is not the method's.

**Instability** is free of scale: the standard deviation of a panorama's score over shifts, in units of that between panoramas (the
``relative_sd`` of ``view_comparison``). A model that shrinks all its scores is not more stable by it. It is measured at shifts
between those of the paper, which no method averages. The paper's measure, the median change in points at its own shifts, stands
beside it.
"""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from scipy.stats import rankdata

from clip360.names import PANORAMA, PERSPECTIVE, POOLED, TEST, TRAINING, VALIDATION
from clip360.stats.inference import Inference, mean, median, pooled_median, pooled_median_ratio, with_interval
from clip360.stats.measurements import KEYS, select
from clip360.stats.replicates import over_replicates
from clip360.stats.stability_ratio import worst_ratio
from clip360.stats.visual_probe import shift_pivot, shift_tests, stability_bound, upper_fence

RANKS = ("image_to_text_rank", "text_to_image_rank")
SINGLE_PASS = "single_pass"  # the method of a frozen model as it is
ENDINGS = {PANORAMA: "", PERSPECTIVE: "_perspective"}  # of columns, by what is ranked and classified
MINIMUM_RUNS = 4  # whose order is worth a rank correlation
Outcomes = dict[str, np.ndarray]  # what ``outcomes`` gives


def outcomes(measurements: pd.DataFrame, shifts: Sequence[float]) -> Outcomes:
    """All that the trade-off compares, of one model on one image set: float arrays with N panoramas last.

    ``changes`` [S, N]  |s - s^δ| at the S shifts of the paper, ``shifts``; ``mirror_change`` [N] that of the mirror image
    ``variance``, ``level``  variance of the score over shifts, and its mean, at the measured shifts other than ``shifts``. The
                        variance is half the mean square of s^δ - s: a mean embedding takes the same value at all these shifts
    ``score``           unshifted
    ``recall``, ``recall_perspective``        fraction of both directions of retrieval that rank the right one first; of a
                        panorama, the mean over all measured shifts, since the direction in which it is cut open is arbitrary
    ``zero_shot``, ``zero_shot_perspective``  whether zero-shot classification is right; likewise
    ``inter_image_cosine``  mean cosine with the other panoramas
    """
    scores = shift_pivot(measurements)
    unshifted = scores["shift", 0.0].to_numpy()
    between = [shift for shift in scores["shift"].columns if shift and shift not in shifts]
    if not between:
        raise ValueError(f"{measurements.model.iloc[0]} was measured at the shifts of the paper alone: measure it anew")
    shifted = scores["shift"][between].to_numpy()
    return {
        "changes": np.abs(scores["shift"][list(shifts)].to_numpy().T - unshifted),
        "mirror_change": np.abs(scores["mirror", 0.0].to_numpy() - unshifted),
        "variance": ((shifted - unshifted[:, None]) ** 2).mean(1) / 2,
        "level": np.column_stack([unshifted, shifted]).mean(1),
        "score": unshifted,
        "inter_image_cosine": _by_image(select(measurements, "inter_image_cosine")),
        **{f"recall{ending}": _hits(measurements, view) for view, ending in ENDINGS.items()},
        **{f"zero_shot{ending}": _zero_shot_hits(measurements, view) for view, ending in ENDINGS.items()},
    }


def pooled(parts: Sequence[Outcomes]) -> Outcomes:
    """The panoramas of several image sets as one set; ``level`` is centred by set, since sets differ in more than panoramas."""
    centred = [part | {"level": part["level"] - part["level"].mean()} for part in parts]
    return {name: np.concatenate([part[name] for part in centred], axis=-1) for name in parts[0]}


def outcomes_by_set(
    measurements: pd.DataFrame, *, training_set: str, shifts: Sequence[float]
) -> dict[tuple[str, str], Outcomes]:
    """``outcomes`` by (model, image set), and by (model, POOLED) those of all test sets together."""
    found = {keys: outcomes(part, shifts) for keys, part in measurements.groupby(["model", "image_set"], sort=False)}
    tested = [name for name in measurements.image_set.unique() if role(name, training_set) == TEST]
    pools = {(model, POOLED): pooled([found[model, name] for name in tested]) for model in measurements.model.unique()}
    return found | pools


def role(image_set: str, training_set: str) -> str:
    """What an image set is for: training, validation or test.

    >>> role("finetune", "finetune"), role("validation", "finetune"), role("world_outdoor", "finetune")
    ('training', 'validation', 'test')
    """
    return {training_set: TRAINING, VALIDATION: VALIDATION, POOLED: POOLED}.get(image_set, TEST)


def references(measurements: pd.DataFrame, specs: Mapping[str, Mapping]) -> dict[str, str]:
    """For each model, the frozen model in a single pass under the same view. ValueError where it was not measured."""
    views = select(measurements, "clip_score").drop_duplicates("model").set_index("model")["view"]
    frozen = {
        (spec["model"], views[name]): name
        for name, spec in specs.items()
        if spec["method"] == SINGLE_PASS and name in views
    }
    for name in views.index:
        model, view = specs[name]["model"], views[name]
        if (model, view) not in frozen:
            raise ValueError(
                f"{name} shows panoramas by {view}: adaptation.training_free.{model} needs an entry with method: single_pass,"
                f" view: {view}, which it is compared with"
            )
    return {name: frozen[specs[name]["model"], views[name]] for name in views.index}


def finetuned_shift_tests(
    measurements: pd.DataFrame,
    specs: Mapping[str, Mapping],
    *,
    shifts: Sequence[float],
    inference: Inference,
) -> pd.DataFrame:
    """``shift_tests`` of frozen and adapted models, each with the β of its reference (``references``).

    ``specs`` gives for each model its frozen ``model``, ``method`` and, if it was trained, the ``shift_range`` from which training
    drew. The column ``drawn`` says whether a tested shift lies in that range. ``stable_own`` is the verdict with the model's own β.
    """
    frozen = references(measurements, specs)
    scores = select(measurements, "clip_score", "shift", "mirror")
    own = {}
    for keys, part in scores.groupby(KEYS, sort=False):
        table = shift_pivot(part)
        own[keys] = stability_bound(table["shift", 0.0], table["mirror", 0.0])
    bounds = pd.Series({(name, *rest): own[frozen[name], *rest] for name, *rest in own})
    tests = shift_tests(measurements, shifts=list(shifts), inference=inference, bounds=bounds)
    ranges = {run: spec["shift_range"] for run, spec in specs.items() if "shift_range" in spec}
    drawn = [
        model in ranges and ranges[model][0] <= shift < ranges[model][1]
        for model, shift in zip(tests.model, tests["shift"], strict=True)
    ]
    tests.insert(4, "drawn", drawn)
    by_own = shift_tests(measurements, shifts=list(shifts), inference=inference)
    return tests.assign(beta_own=by_own.beta, stable_own=by_own.stable)


def tradeoff_table(
    measured: Mapping[tuple[str, str], Outcomes],
    tests: pd.DataFrame,
    specs: Mapping[str, Mapping],
    frozen: Mapping[str, str],
    *,
    training_set: str,
    inference: Inference,
) -> pd.DataFrame:
    """One row for each model and image set, frozen models among them; every change is against the reference, on the same images.

    ``measured`` as by ``outcomes_by_set``, ``tests`` as by ``finetuned_shift_tests``, ``specs`` the specification of each model,
    ``frozen`` as by ``references``. The rows of the image set POOLED are over all test sets. Columns (all below have an interval,
    ``_low`` and ``_high``):

    ``instability``     standard deviation of the score over shifts, over that between panoramas
    ``instability_ratio``   over that of the reference
    ``median_change``   median of |s - s^δ| over images and the shifts of the paper, points; ``median_change_ratio`` over that of the
                        reference
    ``worst_of_beta``, ``worst_of_beta_own``  median of |s - s^δ| under the worst of these shifts, in units of β of the
                        reference, and of the model's own β; ``beta_ratio`` the own β over that of the reference
    ``score_change``    median of s_θ - s on unshifted panoramas, points
    ``recall_change``, ``recall_change_perspective``  of R@1, mean of both directions, on panoramas and perspective views;
                        ``recall`` and ``recall_perspective`` themselves
    ``zero_shot_change``, ``zero_shot_change_perspective``  of the top-1 accuracy, where the classes are known
    ``inter_image_cosine``  mean cosine between different images, 1 where they collapsed; ``inter_image_cosine_change``

    Further: ``method`` (with its view), ``view`` ("protocol" where the run names none), ``lam``, ``shift_range``, ``lr`` and ``epochs`` of
    the run (NaN and "none" where nothing was trained), ``usual`` as by ``usual_runs``, ``reference``, ``role`` and ``n`` of the image set, and ``beta`` of the reference and ``beta_own``, and ``stable_fraction``,
    ``stable_fraction_own``, ``stable_fraction_reference``: the fraction of the shifts that are stable by the reference's β, by the model's own β, and for the reference.
    """
    usual = usual_runs(specs)
    stable = tests.groupby(["model", "image_set"])[["stable", "stable_own", "beta", "beta_own"]].mean()
    rows = []
    for (name, image_set), outcome in measured.items():
        spec, shift_range = specs[name], specs[name].get("shift_range")
        verdicts = {
            "stable_fraction": stable.stable.get((name, image_set)),
            "stable_fraction_own": stable.stable_own.get((name, image_set)),
            "beta": stable.beta.get((name, image_set)),
            "beta_own": stable.beta_own.get((name, image_set)),
            "stable_fraction_reference": stable.stable.get((frozen[name], image_set)),
        }
        row = {
            "model": name,
            "base_model": spec["model"],
            "method": method_label(spec),
            "view": spec.get("view", "protocol"),
            "lam": spec.get("lam", np.nan),
            "shift_range": f"{shift_range[0]:g}-{shift_range[1]:g}" if shift_range else "none",
            "lr": spec.get("optimisation", {}).get("lr", np.nan),
            "epochs": spec.get("optimisation", {}).get("epochs", np.nan),
            "usual": name in usual,
            "reference": frozen[name],
            "image_set": image_set,
            "role": role(image_set, training_set),
            "n": outcome["score"].shape[-1],
        }
        reference = measured[frozen[name], image_set]
        for measure, (values, statistic) in (
            absolute_measures(outcome) | compared_measures(outcome, reference)
        ).items():
            row |= with_interval(measure, values, statistic, inference=inference)
        rows.append(row | bound_measures(outcome, reference, inference=inference) | verdicts)
    return pd.DataFrame(rows)


def usual_runs(specs: Mapping[str, Mapping]) -> list[str]:
    """The models that were trained as most runs of their method were, with its learning rate and epochs, or not at all.

    >>> long = {"optimisation": {"lr": 0.1, "epochs": 9}, "method": "m"}
    >>> short = {"optimisation": {"lr": 0.1, "epochs": 3}, "method": "m"}
    >>> usual_runs({"a": short, "b": short, "c": long, "d": {"method": "m"}})
    ['a', 'b', 'd']
    """
    trained = {name: spec for name, spec in specs.items() if "optimisation" in spec}
    columns = ("lr", "epochs")
    table = pd.DataFrame({name: [spec["optimisation"][key] for key in columns] for name, spec in trained.items()}).T
    settings = pd.Series(table.itertuples(index=False, name=None), index=table.index, dtype=object)
    methods = pd.Series({name: method_label(spec) for name, spec in trained.items()}, dtype=object)
    modes = settings.groupby(methods).agg(lambda x: x.value_counts().index[0])
    return [name for name in specs if name not in trained or settings[name] == modes[methods[name]]]


def lora_runs(specs: Mapping[str, Mapping], model: str, *, lam: float) -> list[str]:
    """The runs of the attention's LoRA from ``model`` at one λ, under the protocol's view and with all shifts."""
    wanted = {"model": model, "method": "lora_attention", "lam": lam, "shift_range": [0.0, 1.0]}
    return [
        name
        for name, spec in specs.items()
        if "view" not in spec and all(spec.get(key) == value for key, value in wanted.items())
    ]


def absolute_measures(outcome: Outcomes) -> dict:
    """The measures of ``tradeoff_table`` that need no reference: for each its values and the statistic of them."""
    return {
        "instability": (np.stack([outcome["variance"], outcome["level"]]), relative_sd),
        "median_change": (outcome["changes"], pooled_median),
        "recall": (outcome["recall"], mean),
        "recall_perspective": (outcome["recall_perspective"], mean),
        "inter_image_cosine": (outcome["inter_image_cosine"], mean),
    }


def bound_measures(outcome: Outcomes, reference: Outcomes, *, inference: Inference) -> dict[str, float]:
    """The measures of ``tradeoff_table`` that need β, with their intervals; β is resampled with the change."""
    own, of_reference = outcome["mirror_change"], reference["mirror_change"]
    return (
        worst_ratio("worst_of_beta", outcome["changes"], of_reference, inference=inference)
        | worst_ratio("worst_of_beta_own", outcome["changes"], own, inference=inference)
        | with_interval("beta_ratio", np.stack([own, of_reference]), _fence_ratio, inference=inference)
    )


def compared_measures(outcome: Outcomes, reference: Outcomes) -> dict:
    """The measures of ``tradeoff_table`` that compare with a reference on the same images, image by image."""
    pair = [outcome["variance"], outcome["level"], reference["variance"], reference["level"]]
    changed = {
        f"{measure}_change{ending}": (outcome[f"{measure}{ending}"] - reference[f"{measure}{ending}"], mean)
        for measure in ("recall", "zero_shot")
        for ending in ENDINGS.values()
        if len(reference[f"{measure}{ending}"])
    }
    return {
        "instability_ratio": (np.stack(pair), relative_sd_ratio),
        "median_change_ratio": (np.concatenate([outcome["changes"], reference["changes"]]), pooled_median_ratio),
        "score_change": (outcome["score"] - reference["score"], median),
        **changed,
        "inter_image_cosine_change": (outcome["inter_image_cosine"] - reference["inter_image_cosine"], mean),
    }


def relative_sd(x: np.ndarray) -> np.ndarray:
    """Root of the mean of x[0] (variances over shifts) over the standard deviation of x[1] (levels), images last."""
    return np.sqrt(x[0].mean(-1)) / x[1].std(-1)


def relative_sd_ratio(x: np.ndarray) -> np.ndarray:
    """``relative_sd`` of x[:2] over that of x[2:]."""
    return relative_sd(x[:2]) / relative_sd(x[2:])


def unseen_table(
    measured: Mapping[tuple[str, str], Outcomes],
    specs: Mapping[str, Mapping],
    frozen: Mapping[str, str],
    *,
    shifts: Sequence[float],
    inference: Inference,
) -> pd.DataFrame:
    """Runs that drew a part of the shifts, at the ``shifts`` outside that part: one row for each run and image set.

    ``change_ratio`` is the median |s - s^δ| over images and these shifts over that of the reference.
    """
    rows = []
    for (name, image_set), outcome in measured.items():
        low, high = specs[name].get("shift_range", (0.0, 1.0))
        outside = [not low <= shift < high for shift in shifts]
        if not any(outside):
            continue
        changes = [part["changes"][outside] for part in (outcome, measured[frozen[name], image_set])]
        row = {"model": name, "base_model": specs[name]["model"], "lam": specs[name]["lam"]}
        row |= {"image_set": image_set, "shifts": sum(outside)}
        rows.append(
            row | with_interval("change_ratio", np.concatenate(changes), pooled_median_ratio, inference=inference)
        )
    columns = ["model", "base_model", "lam", "image_set", "shifts"]
    return pd.DataFrame(rows, columns=[*columns, "change_ratio", "change_ratio_low", "change_ratio_high"])


def distance_table(tradeoff: pd.DataFrame, runs: pd.DataFrame) -> pd.DataFrame:
    """The rows of ``tradeoff_table`` over all test sets for ``runs``, in the order of the distance that their weights travelled.

    ``runs`` has by run the columns lr, epochs and distance, the norm of the change of all weights.
    """
    measures = ["instability_ratio", "recall_change", "recall_change_perspective", "inter_image_cosine_change"]
    columns = ["model", *(f"{name}{end}" for name in measures for end in ("", "_low", "_high"))]
    rows = tradeoff[tradeoff.image_set == POOLED][columns].merge(runs.rename_axis("model").reset_index(), on="model")
    return rows.sort_values("distance", kind="stable", ignore_index=True)


def distance_over_replicates(tables: Sequence[pd.DataFrame], *, inference: Inference) -> pd.DataFrame:
    """``distance_table`` over replicates: means by lr and epochs, with Student's intervals; this run's where there are none.

    ``tables`` are that of this run and those of its replicates.
    """
    this_run, *kept = tables
    if not kept:
        return this_run
    keys = ["lr", "epochs"]
    measures = ["distance", *(name.removesuffix("_low") for name in this_run if name.endswith("_low"))]
    parts = []
    for measure in measures:
        values = [table[[*keys, measure]].rename(columns={measure: "value"}) for table in kept]
        numbers = over_replicates(values, keys, inference=inference).set_index(keys)
        parts.append(
            numbers[["mean", "mean_low", "mean_high"]].set_axis([measure, f"{measure}_low", f"{measure}_high"], axis=1)
        )
    return pd.concat(parts, axis=1).reset_index().sort_values("distance", kind="stable", ignore_index=True)


def distance_trend(
    measured: Mapping[tuple[str, str], Outcomes], runs: pd.DataFrame, *, inference: Inference
) -> pd.DataFrame:
    """How the mean inter-image cosine of ``runs`` follows the distance travelled and the learning rate: one row for each.

    ``rank_correlation`` is Spearman's, over the runs; its interval is over images. No row for fewer than MINIMUM_RUNS runs. ``runs`` as in ``distance_table``.
    """
    columns = ["follows", *(f"rank_correlation{end}" for end in ("", "_low", "_high"))]
    if len(runs) < MINIMUM_RUNS:
        return pd.DataFrame(columns=columns)
    cosines = np.stack([measured[name, POOLED]["inter_image_cosine"] for name in runs.index])

    def correlation(x: pd.Series):
        ranks = rankdata(x)
        centred = ranks - ranks.mean()

        def statistic(values: np.ndarray) -> np.ndarray:
            means = rankdata(values.mean(-1), axis=0).T
            means = means - means.mean(-1, keepdims=True)
            return (means @ centred) / np.sqrt((means**2).sum(-1) * (centred**2).sum())

        return statistic

    return pd.DataFrame(
        [
            {"follows": name}
            | with_interval("rank_correlation", cosines, correlation(runs[column]), inference=inference)
            for name, column in (("distance travelled", "distance"), ("learning rate", "lr"))
        ]
    )


def method_label(spec: Mapping) -> str:
    """A run's adaptation method, with the view of a panorama where it is not the model's own.

    >>> method_label({"method": "lora_attention"}), method_label({"method": "distilled", "view": "squash"})
    ('lora_attention', 'distilled, squash')
    """
    return ", ".join(spec[key] for key in ("method", "view") if key in spec)


def pareto(frame: pd.DataFrame, *, lower: str, higher: str) -> pd.Series:
    """Rows that no other row dominates: none is at least as low and as high, and better in one. bool, index of ``frame``.

    >>> frame = pd.DataFrame({"instability": [1.0, 2.0, 2.0], "score": [0.0, 1.0, 0.5]})
    >>> pareto(frame, lower="instability", higher="score").tolist()
    [True, True, False]
    """
    x, y = frame[lower].to_numpy()[:, None], frame[higher].to_numpy()[:, None]
    no_worse, better = (x >= x.T) & (y <= y.T), (x > x.T) | (y < y.T)
    return pd.Series(~(no_worse & better).any(1), index=frame.index)


def _hits(measurements: pd.DataFrame, view: str) -> np.ndarray:
    """Fraction [N] of the two directions of retrieval, and of all measured shifts, that rank the right one first."""
    ranks = measurements[measurements.measure.isin(RANKS) & (measurements["view"] == view)]
    return (ranks.assign(hit=ranks.value <= 1).groupby("image").hit.mean()).to_numpy()


def _zero_shot_hits(measurements: pd.DataFrame, view: str) -> np.ndarray:
    """Fraction [N] of all measured shifts at which an image's class is ranked first; empty where the classes are not known."""
    hits = select(measurements, "zero_shot_hit")
    return _by_image(hits[hits["view"] == view])


def _by_image(rows: pd.DataFrame) -> np.ndarray:
    """Means [N] over the rows of each image, in the order of their names."""
    return rows.groupby("image", sort=True).value.mean().to_numpy()


def _fence_ratio(changes: np.ndarray) -> np.ndarray:
    """Upper fence of changes[0] over that of changes[1], images last."""
    return upper_fence(changes[0]) / upper_fence(changes[1])
