"""Generators whose faults are known, scored and compared: what `clip360 compare` finds of them.

    python -m tools.made_generators FOLDER

Each "generator" gives the same panoramas to the same captions, harmed in one way; `intact` does not harm them, and in `turned` each is
only cut open in another direction. Sets, reports and comparisons go to FOLDER, the tables into docs/evaluating_generators.md.
With --panoramas the panoramas of a set are harmed instead of rendered ones, and the tables are printed only.
"""

import argparse
import re
import sys
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from clip360.cli import main as clip360
from clip360.data.image_set import ImageRecord, ImageSet, write_image_set
from clip360.figures.tables import readable
from clip360.reports.panorama_sources import open_panoramas
from clip360.reports.report_files import read_scores
from clip360.stats.two_samples import detectable_difference
from pipeline.error_messages import report
from pipeline.render_embedded_data import render_panoramas
from tools.benchmark.inputs import FORMAT_CUES
from tools.benchmark.seams import blend, cut, no_poles, resized, to_bytes

PAGE = Path("docs", "evaluating_generators.md")
TABLE = "<!-- {name}, by python -m tools.made_generators -->\n{content}<!-- end -->"
INTACT, TURNED, SHUFFLED, REFERENCE = "intact", "turned", "wrong captions", "reference"
PROTOCOLS = ("half-crop", "squash", "views-8", "robust-8")
SCORES = ("score", "robust", "worst", *PROTOCOLS)
ALPHA, PLANNED = (
    0.01,
    (30, 100, 300, 1000, 3000),
)  # level; numbers of panoramas of which the detectable difference is shown


def blur(panorama: Tensor, factor: int = 8) -> Tensor:
    """Reduced by ``factor`` and enlarged again; the right edge continues at the left, so that no seam appears."""
    height, width = panorama.shape[-2:]
    margin = 4 * factor
    wider = torch.cat([panorama[..., -margin:], panorama, panorama[..., :margin]], dim=-1)
    reduced = resized(wider, height // factor, wider.shape[-1] // factor)
    return to_bytes(resized(reduced, height, wider.shape[-1])[..., margin : margin + width])


HARMS: dict[str, Callable[[Tensor], Tensor]] = {
    "seam": partial(cut, fraction=0.03),
    "blurred seam": lambda panorama: blend(cut(panorama, 0.1), 16),
    "half a turn": partial(cut, fraction=0.5),
    "flat poles": partial(no_poles, elevation=60),
    "blur": blur,
}
FAULTS = {  # what is wrong, and the metrics that must name the intact generator
    TURNED: ("nothing: each is cut open in another direction", ()),
    "seam": ("3 % of the width is cut off, the rest stretched", ("seam",)),
    "blurred seam": ("10 % is cut off, 16 columns around the seam are blurred", ("seam_blend",)),
    "half a turn": ("half a turn is stretched to a whole one", ("seam",)),
    "flat poles": ("60 degrees up and down are stretched to 90", ("poles",)),
    SHUFFLED: ("each panorama belongs to another caption", SCORES),
    "blur": ("details below 8 pixels are lost", ()),
}


def write_generators(source: ImageSet, folder: Path, seed: int = 0) -> list[str]:
    """Write the image set of every generator into ``folder``; returns their names, the intact one first.

    Every image is encoded once more, also those of the intact generator.
    """
    rng, n = np.random.default_rng(seed), len(source.table)
    columns = rng.permutation(n)  # as multiples of a fraction of the width: no two alike
    for name in (INTACT, *FAULTS):

        def made(k: int, row, name: str = name) -> ImageRecord:
            shown = source.table.image.iloc[(k + n // 2) % n if name == SHUFFLED else k]
            panorama = source.read(shown)
            if name == TURNED:
                panorama = panorama.roll(int((columns[k] + 0.5) / n * panorama.shape[-1]), dims=-1)
            harm = HARMS.get(name)
            return ImageRecord(f"{k:04d}.jpg", harm(panorama) if harm else panorama, row.caption, "360 panorama")

        write_image_set(folder / name, (made(k, row) for k, row in enumerate(source.table.itertuples())))
    return [INTACT, *FAULTS]


def run(*arguments: object) -> None:
    """Run the command `clip360`, and show it; RuntimeError where it fails."""
    words = [str(word) for word in arguments]
    print("clip360", *words, file=sys.stderr)
    if clip360(words):
        raise RuntimeError(f"clip360 {words[0]} failed")


def compare_generators(folder: Path, names: list[str], model: Path, *, has_reference: bool) -> Path:
    """Score all generators by a model and compare them; returns the folder of the comparison."""
    reports = [folder / "reports" / model.name / name for name in names]
    out = folder / "comparisons" / model.name
    for name, report_folder in zip(names, reports, strict=True):
        run(
            "score",
            folder / "sets" / name,
            "--model",
            model,
            "--protocols",
            ",".join(PROTOCOLS),
            "--out",
            report_folder,
        )
    reference = ["--reference", folder / "sets" / REFERENCE] if has_reference else []
    run(
        "compare",
        *reports,
        "--model",
        model,
        *reference,
        "--baseline",
        INTACT,
        "--groups",
        "whole",
        "--alpha",
        ALPHA,
        "--out",
        out,
    )
    return out


def verdict_table(comparison: Path) -> pd.DataFrame:
    """What the comparison says of the intact generator (a) and each other one (b), one row each."""
    table = pd.read_csv(comparison / "comparison.csv")
    distances = pd.read_csv(comparison / "set_distances.csv")
    cmmd = distances[(distances.distance == "cmmd") & (distances.views == "whole")].set_index(
        ["reference", "generated"]
    )
    has_reference = INTACT not in set(distances.reference)
    rows = []
    for name, (fault, required) in ({INTACT: ("none", ())} | FAULTS).items():
        row = {"generator": name, "fault": fault}
        if name != INTACT:
            row |= _verdicts(table[(table.a == INTACT) & (table.b == name)].set_index("metric"), name, required)
        if has_reference:
            row["CMMD to the reference"] = _interval(cmmd.loc[distances.reference.iloc[0], name])
        rows.append(row)
    return pd.DataFrame(rows).fillna("")


def _verdicts(found: pd.DataFrame, name: str, required: Sequence[str]) -> dict[str, str]:
    """What the rows of a pair say, by metric, and whether it is right; of a generator without a fault nothing may be named."""
    better = {who: found.index[found.verdict == who].tolist() for who in (INTACT, name)}
    wrong = [metric for metric in required if metric not in better[INTACT]]
    wrong += better[name] + (better[INTACT] if name == TURNED else [])
    score = found.loc["score"]
    return {
        "intact is better by": _list(better[INTACT]),
        "the other is better by": _list(better[name]),
        "right": f"not {_list(wrong)}" if wrong else "yes",
        "score, intact minus other": f"{score.difference:.2f} [{score.difference_low:.2f}, {score.difference_high:.2f}]",
    }


def _list(names: list[str]) -> str:
    return ", ".join(f"`{name}`" for name in names) or "–"


def _interval(row: pd.Series) -> str:
    return f"{row.estimate:.2f} [{row.low:.2f}, {row.high:.2f}]"


def planning_table(folder: Path, model: Path) -> pd.DataFrame:
    """The difference of means that a comparison detects with 80 % probability, by the number of panoramas, paired and unpaired.

    From the spread of the intact and the turned generator, at the level α over the 13 metrics of two generators.
    """
    reports = [folder / "reports" / model.name / name for name in (INTACT, TURNED)]
    a, b = (read_scores(path).set_index("image") for path in reports)
    metrics = ("score", "robust", "half-crop", "views-8")
    rng, rows = np.random.default_rng(0), []
    for n in PLANNED:
        row = {"panoramas": n}
        for metric in metrics:
            x, y = a[metric].to_numpy(), b[metric].loc[a.index].to_numpy()
            for kind, paired in (("pairs", True), ("no pairs", False)):
                spread = (x - y).std(ddof=1) if paired else np.sqrt((x.var(ddof=1) + y.var(ddof=1)) / 2)
                # Samples of n with exactly this spread.
                z = rng.normal(size=n)
                z = (z - z.mean()) / z.std(ddof=1) * spread
                other = np.zeros(n) if paired else z
                row[f"`{metric}`, {kind}"] = detectable_difference(z, other, paired=paired, alpha=ALPHA / 13)
        rows.append(row)
    return pd.DataFrame(rows)


def write_tables(page: Path, tables: dict[str, str]) -> None:
    """Put each table between its markers in the page; ValueError where the page lacks one."""
    text = page.read_text(encoding="utf-8")
    for name, content in tables.items():
        pattern = re.escape(TABLE.format(name=name, content="\0")).replace("\0", ".*?")
        text, n = re.subn(pattern, lambda _: TABLE.format(name=name, content=content), text, flags=re.DOTALL)  # noqa: B023
        if n != 1:
            raise ValueError(f"{page} has {n} places for the table {name}: expected 1")
    page.write_text(text, encoding="utf-8", newline="\n")


def main(*arguments: str) -> None:
    """Make, score and compare the generators, and write the tables."""
    parser = argparse.ArgumentParser(prog="python -m tools.made_generators", description=__doc__.partition("\n")[0])
    parser.add_argument("folder", type=Path, help="takes the sets, reports and comparisons")
    models = [Path("results/world/models", name) for name in ("clip_p30", "clip_p03")]
    parser.add_argument(
        "--models", type=Path, nargs="+", default=models, help="folders of CLIPs (default: %(default)s)"
    )
    parser.add_argument(
        "--n", type=int, default=100, help="rendered panoramas of each generator (default: %(default)s)"
    )
    parser.add_argument(
        "--panoramas", type=Path, help="an image set in place of rendered panoramas; tables are printed only"
    )
    options = parser.parse_args(arguments)
    sets, has_reference = options.folder / "sets", options.panoramas is None
    if options.panoramas:
        source = open_panoramas(options.panoramas)
    else:
        render = partial(render_panoramas, split="probe", environment=None, height=256, format_cues=FORMAT_CUES)
        for folder, seed in ((options.folder / "rendered", 0), (sets / REFERENCE, 1)):
            if not folder.exists():  # an image set is written complete or not at all
                write_image_set(folder, render(folder.name, seed=seed, n_images=options.n))
        source = open_panoramas(options.folder / "rendered")
    names, tables = write_generators(source, sets), {}
    for model in options.models:
        out = compare_generators(options.folder, names, model, has_reference=has_reference)
        tables[f"verdicts of {model.name}"] = markdown(verdict_table(out))
    tables["planning"] = markdown(planning_table(options.folder, options.models[0]))
    print("\n\n".join(f"{name}\n\n{content}" for name, content in tables.items()))
    if has_reference:
        write_tables(PAGE, tables)


def markdown(table: pd.DataFrame) -> str:
    """A table in Markdown, formatted as ``readable`` does."""
    return readable(table).to_markdown(index=False, disable_numparse=True) + "\n"


if __name__ == "__main__":
    report(main, *sys.argv[1:])
