"""The findings of arXiv 2604.24642 as claims on tables of this run, by its own rule and by the policy of inference."""

from collections.abc import Mapping, Sequence

import pandas as pd

from clip360.names import LORA, PANORAMA, TEST
from clip360.stats.claims import Claim, judge
from clip360.stats.inference import Inference

KEYS = ["model", "finetuning", "image_set"]
TABLE = "paper_measures"
FROZEN = "none"  # column finetuning of frozen models


def _claim(name: str, statement: str, unit: str, **bounds: float) -> Claim:
    return Claim(name, statement, TABLE, "value", unit, where=f"claim == '{name}'", by=tuple(KEYS), **bounds)


CLAIMS = (
    _claim(
        "cues",
        "CLIP uses format cues",
        "gain by the cue on panoramas minus that on perspective views, points",
        above=0.0,
    ),
    _claim("shifts", "CLIP is not stable under circular shifts", "median change at the worst shift over β", above=1.0),
    _claim("gain", "LoRA fine-tuning improves the stability", "change under shifts, fine-tuned over frozen", below=1.0),
    _claim(
        "cost",
        "LoRA fine-tuning costs a little of the original score",
        "median change of the unshifted score over β",
        above=-1.0,
        below=0.0,
    ),
)
# Numbers that the paper or its scripts print: (quantity, model, value).
PRINTED = (
    ("stability bound β, points", "vit_b_32_laion400m", 1.7919),
    ("trainable parameters of LoRA as released", "vit_b_32_laion400m", 516_096),
)


def paper_measures(
    cue_summary: pd.DataFrame,
    cue_tests: pd.DataFrame,
    shift_summary: pd.DataFrame,
    shift_tests: pd.DataFrame,
    tradeoff: pd.DataFrame,
    *,
    inference: Inference,
) -> pd.DataFrame:
    """One row for each finding, model, fine-tuning and image set: ``value`` with its interval, and the paper's own rule.

    The tables are those of notebooks 01, 02 and 05. ``value`` is what CLAIMS judges; that of ``cost`` takes β as known within a run, while the
    spread between replicates contains its error too. ``paper_rule`` counts the tests that decide for the finding by the paper's rule,
    uncorrected p < α; ``tests`` is their number. As in the paper, fine-tuning is judged on test sets and by runs with LoRA that drew all shifts,
    with the usual rate and epochs.
    """
    on_panoramas = cue_tests[cue_tests["view"] == PANORAMA]
    parts = [
        _rows("cues", cue_summary, "contrast", _count(on_panoramas, on_panoramas.p < inference.alpha)),
        _rows("shifts", shift_summary, "of_beta", _count(shift_tests, shift_tests.p >= inference.alpha)),
    ]
    lora = tradeoff[(tradeoff.role == TEST) & tradeoff.method.isin(LORA) & (tradeoff.shift_range == "0-1")]
    lora = lora[lora.usual]
    lora = lora.assign(
        model=lora.base_model,
        finetuning=lora.method + lora.lam.map(", λ = {:g}".format),
        **{f"cost{end}": lora[f"score_change{end}"] / lora.beta for end in ("", "_low", "_high")},
    )
    parts += [_rows("gain", lora, "median_change_ratio"), _rows("cost", lora, "cost")]
    return pd.concat(parts, ignore_index=True)


def _rows(claim: str, table: pd.DataFrame, column: str, counts: pd.DataFrame | None = None) -> pd.DataFrame:
    rows = table.assign(claim=claim, finetuning=table.get("finetuning", FROZEN))
    rows = rows.rename(columns={f"{column}{end}": f"value{end}" for end in ("", "_low", "_high")})
    rows = rows[["claim", *KEYS, "value", "value_low", "value_high"]]
    return rows if counts is None else rows.merge(counts, on=["model", "image_set"], validate="1:1")


def _count(tests: pd.DataFrame, decided: pd.Series) -> pd.DataFrame:
    groups = tests.assign(decided=decided).groupby(["model", "image_set"], sort=False).decided
    return pd.DataFrame({"paper_rule": groups.sum(), "tests": groups.size()}).reset_index()


def paper_table(judged: pd.DataFrame, measures: pd.DataFrame) -> pd.DataFrame:
    """The paper's findings in words: one row for each case of ``judge``, with the verdict of the paper's rule beside ours.

    ``judged`` is the table of ``judge`` on CLAIMS, ``measures`` that of ``paper_measures``. By its own rule the paper rejects, or does not
    reject, one hypothesis a test: the column counts the tests that speak for the finding.
    """
    rows = judged.merge(measures, on=["claim", *KEYS], how="left", validate="1:1", suffixes=("", "_run"))
    counts = zip(rows.paper_rule, rows.tests, strict=True)
    columns = {
        "the paper's finding": rows.statement,
        "model": rows.model,
        "fine-tuning": rows.finetuning,
        "image set": rows.image_set,
        "measure": rows.unit,
        "this run": _intervals(rows, "value", "low", "high"),
        "mean over replicates": _intervals(rows, "mean", "mean_low", "mean_high").where(rows.replicates > 0, "not run"),
        "by the paper's rule": ["" if pd.isna(n) else f"{n:g} of {total:g}" for n, total in counts],
        "verdict": rows.case_verdict,
    }
    return pd.DataFrame(columns)


def architecture_table(judged: pd.DataFrame, weights: Mapping[str, Mapping]) -> pd.DataFrame:
    """The findings on published models, one column for each training data, one row for each architecture, image set and finding.

    ``judged`` is the table of ``judge``; ``weights`` gives the ``architecture`` and the tag ``pretrained`` of each model, as params.yaml does.
    The data are the first word of the tag; models that these do not tell apart, such as two checkpoints of one's own, have columns by name.
    """
    rows = judged[judged.model.isin(weights) & (judged.finetuning == FROZEN)]
    rows = rows.assign(
        architecture=[weights[model]["architecture"] for model in rows.model],
        data=[str(weights[model]["pretrained"]).split("_")[0] for model in rows.model],
        number=_intervals(rows, "mean", "mean_low", "mean_high"),
    )
    keys = ["statement", "image_set", "architecture"]
    rows["data"] = rows.data.where(~rows.duplicated([*keys, "data"], keep=False), rows.model)
    return rows.pivot(index=keys, columns="data", values="number").rename_axis(columns=None).reset_index()


def paper_numbers(
    shift_summary: pd.DataFrame, tradeoff: pd.DataFrame, adapters: pd.DataFrame
) -> dict[tuple[str, str], float]:
    """This run's value of each quantity of PRINTED, by (quantity, model): the mean over image sets of β, and parameters of LoRA.

    The tables are those of notebooks 02, 05 and 04 (one row for each kind of module that an adapter targets).
    """
    bound, trainable = (quantity for quantity, *_ in PRINTED)
    values = {(bound, model): beta for model, beta in shift_summary.groupby("model", sort=False).beta.mean().items()}
    released = adapters[adapters.targets == LORA[0]].parameters.sum()
    models = tradeoff[tradeoff.method == LORA[0]].base_model.unique()
    return values | {(trainable, model): float(released) for model in models}


def printed_numbers(values: Mapping[tuple[str, str], float]) -> pd.DataFrame:
    """Numbers that the paper prints, beside this run's: columns quantity, model, paper, this run ("not run" without a value).

    ``values`` maps (quantity, model) to this run's value; of the quantities in PRINTED, other models than the paper's have rows too.
    """
    paper = {(quantity, model): value for quantity, model, value in PRINTED}
    quantities = list(dict.fromkeys(quantity for quantity, _ in paper))
    keys = sorted(paper | values, key=lambda key: quantities.index(key[0]))
    return pd.DataFrame(
        {
            "quantity": [quantity for quantity, _ in keys],
            "model": [model for _, model in keys],
            "paper": [f"{paper[key]:,g}" if key in paper else "not printed" for key in keys],
            "this run": [f"{values[key]:,.4g}" if key in values else "not run" for key in keys],
        }
    )


def changed_verdicts(
    claims: Sequence[Claim],
    replicates: Sequence[pd.DataFrame],
    others: Mapping[int, pd.DataFrame],
    *,
    inference: Inference,
) -> pd.DataFrame:
    """Verdicts over replicates before and after some are replaced by runs with other rounding; one row a claim.

    ``replicates`` are tables of ``paper_measures``; ``others`` maps positions among them to the table of a run of the same seeds. Columns: claim,
    cases, ``max_abs_diff`` and ``median_abs_diff`` between the values of such runs, ``verdicts_changed``. No row without such runs.
    """
    replaced = [others.get(k, table) for k, table in enumerate(replicates)]
    rows = []
    for claim in claims if others else ():
        before, after = (
            judge([claim], {TABLE: [tables[0], *tables]}, inference=inference) for tables in (replicates, replaced)
        )
        values = [
            claim.rows(replicates[k]).value.to_numpy() - claim.rows(other).value.to_numpy()
            for k, other in others.items()
        ]
        differences = pd.Series([abs(value) for of_run in values for value in of_run])
        rows.append(
            {
                "claim": claim.name,
                "cases": len(before),
                "max_abs_diff": differences.max(),
                "median_abs_diff": differences.median(),
                "verdicts_changed": int((before.case_verdict != after.case_verdict).sum()),
            }
        )
    return pd.DataFrame(rows, columns=["claim", "cases", "max_abs_diff", "median_abs_diff", "verdicts_changed"])


def _intervals(rows: pd.DataFrame, *columns: str) -> pd.Series:
    numbers = rows[list(columns)].itertuples(index=False, name=None)
    return pd.Series(["{:.2f} [{:.2f}, {:.2f}]".format(*row) for row in numbers], index=rows.index, dtype=object)
