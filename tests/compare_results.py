"""Compare two result trees under a written renaming of files, columns and values: has anything but names changed?

    python -m tests.compare_results OLD NEW [--profile world]

OLD is a checkout of the house before (flat lib/, figures/tables), NEW one of this house, both with results. Tables must agree
character by character, weights, images and embeddings byte by byte, measurements value by value.
"""

import argparse
import sys
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
from ruamel.yaml import YAML

RENAMING = YAML(typ="safe").load(Path(__file__).with_name("renaming.yaml").read_text(encoding="utf-8"))
ENDINGS = ("", "_low", "_high", "_perspective", "_perspective_low", "_perspective_high")
FRAGMENTS = ("clip_score", "rank", "hit", "cosine")


def main() -> None:
    parser = argparse.ArgumentParser(description="Has anything but names changed?")
    parser.add_argument("old", type=Path)
    parser.add_argument("new", type=Path)
    parser.add_argument("--profile", default="world")
    given = parser.parse_args()
    old, new = (root / "results" / given.profile for root in (given.old, given.new))
    figures = [
        root / "figures" if given.profile == "world" else root / "results" / given.profile / "figures"
        for root in (given.old, given.new)
    ]
    differences = [*compare_files(old, new), *compare_measurements(old, new), *compare_tables(*figures)]
    print("\n".join(differences) or "nothing but names has changed")
    sys.exit(bool(differences))


def compare_files(old: Path, new: Path) -> Iterator[str]:
    """Files that differ, or are on one side only."""
    for pattern, target in RENAMING["files"].items():
        sources = [
            path
            for match in old.glob(pattern)
            for path in ([match] if match.is_file() else match.rglob("*"))
            if path.is_file()
        ]
        for path in sources:
            relative = path.relative_to(old)
            fixed = pattern.split("/*")[0]
            other = new / target.split("/*")[0] / relative.relative_to(fixed)
            if not other.is_file():
                yield f"{other.relative_to(new)}: missing"
            elif path.suffix == ".csv":
                if (
                    pd.read_csv(path).to_numpy().astype(str).tolist()
                    != pd.read_csv(other).to_numpy().astype(str).tolist()
                ):
                    yield f"{other.relative_to(new)}: other values"
            elif path.read_bytes() != other.read_bytes():
                yield f"{other.relative_to(new)}: other bytes"


def renamed_columns(name: str, frame: pd.DataFrame) -> pd.DataFrame:
    """The table under the names of this house."""
    columns = RENAMING["columns"] | RENAMING["columns_of"].get(name, {})
    spelled = {old + ending: new + ending for old, new in columns.items() for ending in ENDINGS}
    frame = frame.rename(columns=spelled)
    for column, values in RENAMING["values"].items():
        if column in frame:
            frame[column] = frame[column].map(
                lambda value, values=values: ", ".join(values.get(part, part) for part in value.split(", "))
            )
    return frame


def compare_tables(old: Path, new: Path) -> Iterator[str]:
    """Tables whose numbers differ; other text (names in words) is listed once."""
    for name, target in RENAMING["tables"].items():
        paths = old / "tables" / f"{name}.csv", new / f"{target}.csv"
        if not paths[0].is_file():
            continue
        if not paths[1].is_file():
            yield f"{target}.csv: missing"
            continue
        before, after = (pd.read_csv(path, dtype=str, keep_default_na=False) for path in paths)
        before = renamed_columns(name, before)
        if set(before) != set(after):
            yield f"{target}.csv: columns {sorted(set(before) ^ set(after))}"
            continue
        if len(before) != len(after):
            yield f"{target}.csv: {len(before)} rows before, {len(after)} now"
            continue
        for column in before:
            unequal = before[column].to_numpy() != after[column].to_numpy()
            if unequal.any():
                row = int(unequal.argmax())
                yield f"{target}.csv: {column} differs in {unequal.sum()} rows, first {before[column][row]!r} → {after[column][row]!r}"


def old_rows(kind: str, path: Path) -> pd.DataFrame:
    """Measurements of the house before as rows of this one."""
    table = pd.read_parquet(path)
    if kind in ("textual", "visual", "views", "hazards", "tradeoff"):
        table = table.rename(
            columns={"value": "level", "score": "value", "turn": "in_window_shift", "hazard": "ablation"}
        )
        table["measure"] = table.condition.map(
            {
                "rank": "image_to_text_rank",
                "mean_rank": "image_to_text_rank",
                "image_to_text": "image_to_text_rank",
                "text_to_image": "text_to_image_rank",
                "zero_shot": "zero_shot_hit",
                "likeness": "inter_image_cosine",
            }
        ).fillna("clip_score")
        cues = table.condition.isin(["cue", "generic"])
        if cues.any():
            table["cue"] = table.level.astype(str).where(cues, "")
            table["level"] = pd.to_numeric(table.level.astype(str).where(~cues), errors="raise")
        if kind == "tradeoff":
            table.loc[table.measure != "clip_score", "level"] = float("nan")
        conditions = {"cue": "format_cue", "generic": "generic_cue", "rank": "shift", "mean_rank": "averaged"}
        conditions |= dict.fromkeys(("image_to_text", "text_to_image", "zero_shot", "likeness"), "unshifted")
        table["condition"] = table.condition.replace(conditions)
        if "ablation" in table:
            table["ablation"] = table.ablation.replace({"as it is": "baseline"})
    if kind in ("abilities", "matching"):
        tasks = RENAMING["values"]["task"] | {"comes_first": "hit"}
        table = table.rename(columns={"ability": "task", "at": "level"})
        table["task"], table["measure"] = table.task.replace(tasks), table.measure.replace({"agreement": "cosine"})
        table["label"] = table.label.str.replace("wording", "caption")
    return table


MEASUREMENTS = {
    "textual": "textual_probe",
    "visual": "visual_probe",
    "tradeoff": "tradeoff",
    "views": "view_modes",
    "hazards": "protocol_ablations",
    "abilities": "capabilities",
    "matching": "matching",
}


def compare_measurements(old: Path, new: Path) -> Iterator[str]:
    """Measurement files whose rows differ, whatever their order."""
    for kind, folder in MEASUREMENTS.items():
        for path in sorted((old / "scores" / kind).glob("*.parquet")):
            other = new / "measurements" / folder / path.name.replace("_untrained", "_training_free")
            if not other.is_file():
                yield f"{other.relative_to(new)}: missing"
                continue
            before, after = old_rows(kind, path), pd.read_parquet(other)
            shared = [column for column in after if column in before]
            if lost := {"measure", "value", "image", "model"} - set(shared):
                yield f"{other.relative_to(new)}: columns {sorted(lost)}"
                continue
            sides = [
                frame[shared].astype({c: str for c in shared if c not in ("value", "level")})
                for frame in (before, after)
            ]
            sides = [side.sort_values(shared, ignore_index=True) for side in sides]
            if len(before) != len(after) or not sides[0].equals(sides[1].astype(sides[0].dtypes)):
                yield f"{other.relative_to(new)}: {len(before)} rows before, {len(after)} now, or other values"


if __name__ == "__main__":
    main()
