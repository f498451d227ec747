"""Parameters that contradict each other, and inputs that are missing or too small.

Both name every fault at once. The first needs no file and works on sections that may be faulty themselves; the second looks at
the files that valid parameters name.
"""

import csv
import json
import math
import os
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from pipeline.architectures import impossible, open_clip_architectures
from pipeline.error_messages import nearest, shown

if TYPE_CHECKING:
    from pipeline.parameters import Parameters

NAME = r"\w[\w.-]{0,79}"


class Fault(NamedTuple):
    """What is wrong at a path of names, such as `finetune.runs.mine.model`."""

    path: str
    problem: str


# In a path, `*` stands for every entry of a list or section, `~` for every key of a section.
# A name at the path on the left must occur in one of the sections or lists on the right.
REFERENCES = {
    "models.*": ("pretraining.models", "weights"),
    "finetune.runs.*.model": ("models",),
    "adaptation.base_model": ("models",),
    "adaptation.runs.*.model": ("models",),
    "adaptation.training_free.~": ("models",),
    "protocol_ablations.models.*": ("models",),
    "crop_or_model.token_analysis.models.*": ("models",),
    "crop_or_model.scenes.~": ("image_sets",),
    "capabilities.matching.models.*": ("models",),
    "live_figure.generic_cue": ("textual_probe.generic_cues",),
    "replicates.other_machines.*": ("replicates.names",),
}
INPUT_FOLDERS = (
    "finetune.image_set",
    "finetune.offset_image_set",
    "own_panoramas.images",
    "own_panoramas.model",
    "own_panoramas.adapter",
)
# Folders in results/PROFILE, and the sections or lists whose entries the pipeline writes there.
WRITTEN = {
    "image_sets": "rendered_sets",
    "models": "models",
    "finetuned/tradeoff": "finetune.runs",
    "finetuned/adaptation": "adaptation.runs",
}
OTHER_WRITTEN = (
    *("training_pictures", "pretraining", "checkpoints", "seconds", "measurements", "token_analysis"),
    *("control_views", "viewpoints", "text_embeddings", "finetuned"),
)
SOURCE_FOLDERS = ("lib", "data", "pipeline", "notebooks", "tests", "profiles", "docs", "tools", ".git", ".dvc", ".venv")
# As lib/models/tokenisation.py and lib/finetune/methods.py have them, which load torch.
WHOLE_TURN = ("squash", "letterbox", "wide", "own")  # `own` may be one of the others
JOINING_METHODS = ("distilled_anti_aliased", "distilled_adaptive")
REPLICATES = Path("figures", "replicates")

OPTIMISATION, VISION, TEXT = (
    f"pretraining.{name}" for name in ("optimisation", "architecture.vision_cfg", "architecture.text_cfg")
)
MULTIPLES = {
    "visual_probe.n_curve_shifts": "visual_probe.n_shifts",
    "crop_or_model.n_shifts": "crop_or_model.n_windows",
    f"{VISION}.image_size": f"{VISION}.patch_size",
    f"{VISION}.width": f"{VISION}.head_width",
    f"{TEXT}.width": f"{TEXT}.heads",
}
AT_MOST = {
    "finetune.n_worst": "finetune.n_shifts",
    "live_figure.n_panoramas": "crop_or_model.n_images",
    f"{OPTIMISATION}.batch_size": "pretraining.n_images",
    f"{OPTIMISATION}.warmup_steps": f"{OPTIMISATION}.steps",
}


class Relation(NamedTuple):
    """What the value at a path is expected to be: ``holds`` compares it with the values at the other paths."""

    path: str
    others: tuple[str, ...]
    expected: str
    holds: Callable[..., bool]


def _has_source(source: dict) -> bool:
    return bool(source.get("revision" if source["architecture"].startswith("hf-hub:") else "pretrained"))


def _has_enough_images(model: dict, n_images: int, batch_size: int, n_views: int, n_panoramas: int) -> bool:
    n_images = model.get("n_images") or n_images
    panoramas = round(model["panorama_fraction"] * n_images)
    return panoramas <= n_panoramas and n_images - panoramas <= n_views and batch_size <= n_images


def _is_own_output(figures: str, profile: str) -> bool:
    first, *rest = Path(figures).parts
    if first.lower() != "results":
        return True
    return len(rest) > 1 and rest[0] == profile and rest[1] not in (*WRITTEN, *OTHER_WRITTEN)


def _is_outside_source(figures: str, data: str) -> bool:
    folder = Path(figures)
    return folder.parts[0].lower() not in SOURCE_FOLDERS and Path(data) not in (folder, *folder.parents)


def _models_agree(training_free: dict) -> bool:
    return all(entry["model"] == model for model, entries in training_free.items() for entry in entries.values())


def _method_agrees(entry: dict, protocol_view: str) -> bool:
    """Does the method's name say how many shifts are averaged, which positional embedding, tokens, pooling, view and yaw are used?"""
    words = re.split("_", entry["method"])
    average = re.search(r"average_(\d+)", entry["method"])
    positions = next((kind for kind in ("circular", "rows") if kind in words), "own")
    tokenisation = next((kind for kind in ("anti_aliased", "adaptive") if kind in entry["method"]), "own")
    pooling = next((kind for kind in ("even_columns", "row_means") if kind in entry["method"]), "own")
    view = entry.get("view") or protocol_view
    views = [name for name in ("center_crop", "squash", "letterbox", "wide", "multi_view") if name in entry["method"]]
    return (
        entry.get("n_shifts", 1) == (int(average[1]) if average else 1)
        and entry.get("positional_embedding", "own") == positions
        and entry.get("tokenisation", "own") == tokenisation
        and entry.get("pooling", "own") == pooling
        and entry.get("canonical_yaw", False) == ("canonical_yaw" in entry["method"])
        and all(name == view for name in views)
    )


def _differs(cue: str, format_cues: list[str]) -> bool:
    return cue.strip().lower() not in [other.strip().lower() for other in format_cues]


RELATIONS = (
    *(Relation(x, (y,), f"a multiple of `{y}`", lambda x, y: x % y == 0) for x, y in MULTIPLES.items()),
    *(Relation(x, (y,), f"at most `{y}`", lambda x, y: x <= y) for x, y in AT_MOST.items()),
    Relation(
        "figures", ("profile",), "a folder of its own in results/PROFILE, or a folder outside results", _is_own_output
    ),
    Relation(
        "figures",
        ("data",),
        f"a folder outside `data` and the source ({', '.join(SOURCE_FOLDERS)})",
        _is_outside_source,
    ),
    Relation("weights.*", (), "also `revision` for a model of a hub, else `pretrained`", _has_source),
    Relation(
        "weights",
        ("pretraining.models",),
        "no model that `pretraining` trains",
        lambda weights, trained: not weights.keys() & trained.keys(),
    ),
    Relation(
        "training_pictures",
        ("pretraining.models",),
        "images for training the models of `pretraining`",
        lambda pictures, trained: bool(pictures or not trained),
    ),
    Relation(
        "pretraining.models.*",
        (
            *("pretraining.n_images", f"{OPTIMISATION}.batch_size"),
            *("training_pictures.n_views", "training_pictures.n_panoramas"),
        ),
        "at least a batch of images, and no more of either kind than `training_pictures` has",
        _has_enough_images,
    ),
    Relation(f"{VISION}.image_size", ("training_pictures.size",), "`training_pictures.size`", lambda x, y: x == y),
    *(
        Relation(f"{section}.generic_cues.*", (formats,), f"other words than the cues in `{formats}`", _differs)
        for section, formats in (
            ("textual_probe", "probe_sets.format_cues"),
            ("training_pictures", "training_pictures.format_cues"),
        )
    ),
    Relation(
        "finetune.n_validation",
        ("adaptation.base_model",),
        "more than 0, because `adaptation` chooses runs by the validation panoramas",
        lambda n, base_model: n > 0 or base_model is None,
    ),
    Relation(
        "protocol.view",
        ("finetune.runs",),
        "a view of a single image, which `finetune.runs` train on",
        lambda view, runs: view != "multi_view" or not runs,
    ),
    Relation(
        "adaptation.runs.*",
        ("protocol.view",),
        "also a `view` of a single image, because `protocol.view` is multi_view",
        lambda run, view: bool(run.get("view")) or view != "multi_view",
    ),
    Relation("adaptation.training_free", (), "each method in the section of the model that it names", _models_agree),
    Relation(
        "adaptation.training_free.*.*",
        ("protocol.view",),
        "n_shifts, view, positional_embedding, tokenisation, pooling and canonical_yaw as `method` names them (average_N: n_shifts N,"
        " others 1)",
        _method_agrees,
    ),
    Relation(
        "adaptation.training_free.*.*",
        ("protocol.view",),
        f"also a `view` that shows the whole turn ({', '.join(WHOLE_TURN[:3])}), because `tokenisation` joins its edges",
        lambda entry, view: entry.get("tokenisation", "own") == "own" or (entry.get("view") or view) in WHOLE_TURN,
    ),
    Relation(
        "adaptation.runs.*",
        ("protocol.view",),
        f"also a `view` that shows the whole turn ({', '.join(WHOLE_TURN[:3])}), because `method` joins its edges",
        lambda run, view: run["method"] not in JOINING_METHODS or (run.get("view") or view) in WHOLE_TURN,
    ),
    Relation(
        "adaptation.training_free.*.*.n_shifts",
        ("visual_probe.n_shifts",),
        "a divisor of twice `visual_probe.n_shifts`",
        lambda averaged, n_shifts: 2 * n_shifts % averaged == 0,
    ),
    Relation(
        "capabilities.viewpoints.n_images",
        ("capabilities.n_images",),
        "at most `capabilities.n_images`",
        lambda n, n_images: n_images is None or n <= n_images,
    ),
)


def contradictions(sections: dict, faulty: set[str]) -> list[Fault]:
    """All names that occur nowhere, and all values that contradict others.

    ``sections`` are those of params.yaml, of any type; ``faulty`` are the paths of values that are wrong by themselves, which
    are not compared with others.
    """
    faults = [*_dangling_names(sections), *_broken_relations(sections, faulty)]
    for paths, check in CHECKS:
        values = [[value for _, value in _at(sections, path)] for path in paths]
        if all(values) and not any(_overlap(path, fault) for path in paths for fault in faulty):
            faults += check(sections)
    return faults


def raise_faults(faults: list[Fault], source: str | Path) -> None:
    """Raise ValueError with a line for each fault, if there is one."""
    if faults:
        raise ValueError("\n".join(f"{source}: `{fault.path}` {fault.problem}" for fault in faults))


def join(*steps: str | int) -> str:
    """A path as messages write it.

    >>> join("finetune", "runs"), join("models", 2), join("a b")
    ('finetune.runs', 'models[2]', "'a b'")
    """
    names = (f"[{step}]" if isinstance(step, int) else f".{step if _is_name(step) else shown(step)}" for step in steps)
    return "".join(names).removeprefix(".")


def minimum_n(alpha: float, tests: int) -> int:
    """Images below which no signed-rank test can reject: the smallest n with tests · 2^-n < alpha.

    ``tests`` is the size of the family, by which Holm's correction multiplies the smallest p-value, which is at least 2^-n.

    >>> minimum_n(0.01, tests=1), minimum_n(0.01, tests=7)
    (7, 10)
    """
    return math.floor(math.log2(tests / alpha)) + 1


def _dangling_names(sections: dict) -> Iterator[Fault]:
    for pattern, sources in REFERENCES.items():
        for path, name in _at(sections, pattern):
            yield from _unless_defined(path, name, sources, sections)
    for path, folder in _input_folders(sections):
        if section := WRITTEN.get(_in_results(sections, folder.parent)):
            yield from _unless_defined(path, folder.name, (section,), sections)


def _unless_defined(path: str, name: Any, sources: tuple[str, ...], sections: dict) -> Iterator[Fault]:
    found = [names for source in sources for _, names in _at(sections, source) if isinstance(names, dict | list)]
    defined = list(dict.fromkeys(entry for names in found for entry in names if _is_name(entry)))
    if _is_name(name) and name not in defined and len(found) == len(sources):
        source = " or ".join(f"`{source}`" for source in sources)
        expected = f"one of {', '.join(defined)}, of {source}" if defined else f"a name of {source}, which is empty"
        yield Fault(path, f"is {shown(name)}: expected {expected}{nearest(name, defined)}")


def _broken_relations(sections: dict, faulty: set[str]) -> Iterator[Fault]:
    for relation in RELATIONS:
        others = [found for other in relation.others for found in _at(sections, other)]
        if len(others) < len(relation.others):
            continue
        for path, value in _at(sections, relation.path):
            sound = not any(_overlap(compared, fault) for compared in (path, *dict(others)) for fault in faulty)
            if sound and not relation.holds(value, *(other for _, other in others)):
                yield Fault(path, f"is {shown(value)}: expected {relation.expected}")


def _unknown_architectures(sections: dict) -> Iterator[Fault]:
    for name, source in sections["weights"].items():
        architecture = source["architecture"]
        if not architecture.startswith("hf-hub:") and not architecture.endswith(".json"):
            known = open_clip_architectures()
            if known and architecture not in known:
                expected = "an architecture of open_clip, a configuration .json or hf-hub:ORGANISATION/NAME"
                problem = f"is {shown(architecture)}: expected {expected}{nearest(architecture, known)}"
                yield Fault(f"weights.{name}.architecture", problem)


def _impossible(sections: dict) -> Iterator[Fault]:
    """What models are asked for that their architectures do not have."""
    yield from (Fault(path, problem) for path, problem in impossible(sections))


def _ambiguous_names(sections: dict) -> Iterator[Fault]:
    """Results of models, runs and training-free methods are stored by name, so no two may have the same."""
    users = {name: "models" for name in sections["models"]}
    users |= {f"{name}_training_free": "models" for name in sections["models"]}
    training_free = sections["adaptation"]["training_free"]
    for section, names in (
        ("finetune.runs", sections["finetune"]["runs"]),
        ("adaptation.runs", sections["adaptation"]["runs"]),
        *((f"adaptation.training_free.{model}", entries) for model, entries in training_free.items()),
    ):
        for name in names:
            if name in users:
                yield Fault(f"{section}.{name}", f"has a name that `{users[name]}` uses: expected another name")
            users[name] = section


def _leaks(sections: dict) -> Iterator[Fault]:
    """Image sets that models are fine-tuned on and that are probed too, or show scenes of the probe's split."""
    probed = [Path(sections["data"], name) for name in sections["image_sets"]]
    for key in ("image_set", "offset_image_set"):
        folder = sections["finetune"][key]
        if Path(folder) in probed:
            problem = f"is {folder}, which `image_sets` has too: expected panoramas that are not used to probe models"
            yield Fault(f"finetune.{key}", problem)
        name = _rendered_name(sections, folder)
        if name and sections["rendered_sets"][name]["split"] == "probe":
            problem = f"is 'probe': expected another split, because `finetune.{key}` trains on this set"
            yield Fault(f"rendered_sets.{name}.split", problem)
    for folder in probed:
        name = _rendered_name(sections, folder)
        if name and sections["rendered_sets"][name]["split"] != "probe":
            split = sections["rendered_sets"][name]["split"]
            problem = f"is {shown(split)}: expected probe, because `image_sets` has this set"
            yield Fault(f"rendered_sets.{name}.split", problem)


def _fine_tuning_sets(sections: dict) -> Iterator[Fault]:
    """A second viewpoint that does not show the scenes of the training panoramas, and too few panoramas."""
    finetune, rendered = sections["finetune"], sections["rendered_sets"]
    training, offset = (_rendered_name(sections, finetune[key]) for key in ("image_set", "offset_image_set"))
    if not training:
        return
    n_training = rendered[training]["n_images"] - finetune["n_validation"]
    if n_training < 1:
        n_images = rendered[training]["n_images"]
        problem = f"is {finetune['n_validation']}: expected less than the {n_images} panoramas of {training}"
        yield Fault("finetune.n_validation", problem)
    if not offset:
        return
    for key in ("split", "environment", "seed"):
        value, expected = rendered[offset][key], rendered[training][key]
        if value != expected:
            reason = f"as in {training}, because {offset} shows the same scenes from another viewpoint"
            yield Fault(f"rendered_sets.{offset}.{key}", f"is {shown(value)}: expected {shown(expected)}, {reason}")
    n_offset = rendered[offset]["n_images"]
    methods = [run["method"] for run in sections["adaptation"]["runs"].values()]
    if n_offset < n_training and "omniview_offset" in methods:
        problem = f"is {n_offset}: expected at least {n_training}, one for each training panorama of {training}"
        yield Fault(f"rendered_sets.{offset}.n_images", problem)


def _scenes(sections: dict) -> Iterator[Fault]:
    """Scenes that are not those of the images."""
    for name, scenes in sections["crop_or_model"]["scenes"].items():
        rendered = _rendered_name(sections, Path(sections["data"], name))
        environments = sections["probe_sets"]["environment"]
        if rendered:
            source, expected = f"rendered_sets.{name}", sections["rendered_sets"][name]
        elif Path(sections["data"]) == Path("data") and name in environments:
            source = "probe_sets"
            expected = sections["probe_sets"] | {"split": "probe", "environment": environments[name]}
        else:
            continue
        for key in ("split", "environment", "seed", "height"):
            if scenes[key] != expected[key]:
                problem = f"is {shown(scenes[key])}: expected {shown(expected[key])}, with which `{source}` rendered the images"
                yield Fault(f"crop_or_model.scenes.{name}.{key}", problem)


def _too_few_images(sections: dict) -> Iterator[Fault]:
    """Numbers of images with which no signed-rank test can reject."""
    required, finetune = _required_images(sections), sections["finetune"]
    for study in ("protocol_ablations", "crop_or_model"):
        yield from _unless_enough(f"{study}.n_images", sections[study]["n_images"], required)
    if finetune["n_validation"]:
        yield from _unless_enough("finetune.n_validation", finetune["n_validation"], required)
    for name in sections["image_sets"]:
        if _rendered_name(sections, Path(sections["data"], name)):
            n_images = sections["rendered_sets"][name]["n_images"]
            yield from _unless_enough(f"rendered_sets.{name}.n_images", n_images, required)


def _unless_enough(path: str, n_images: int, required: int) -> Iterator[Fault]:
    if n_images < required:
        reason = "because with fewer images no signed-rank test of the study can reject"
        yield Fault(path, f"is {n_images}: expected at least {required}, {reason}")


def _required_images(sections: dict) -> int:
    """Images that the tests of every study need: the largest family are the shifts or the generic cues of one model and set."""
    shifts = max(sections["visual_probe"]["n_shifts"], sections["crop_or_model"]["n_windows"]) - 1
    return minimum_n(sections["inference"]["alpha"], max(shifts, len(sections["textual_probe"]["generic_cues"])))


_SETS = ("profile", "data", "image_sets", "rendered_sets", "finetune.image_set")
# Checks of whole sections, with the paths that have to be sound for each.
CHECKS: tuple[tuple[tuple[str, ...], Callable[[dict], Iterator[Fault]]], ...] = (
    (("weights",), _unknown_architectures),
    (
        (
            *("profile", "models", "weights", "protocol", "protocol_ablations", "crop_or_model"),
            *("finetune.runs", "adaptation.runs", "adaptation.training_free"),
        ),
        _impossible,
    ),
    (("models", "finetune.runs", "adaptation.runs", "adaptation.training_free"), _ambiguous_names),
    ((*_SETS, "finetune.offset_image_set"), _leaks),
    ((*_SETS, "finetune.offset_image_set", "finetune.n_validation", "adaptation.runs"), _fine_tuning_sets),
    ((*_SETS, "probe_sets", "crop_or_model.scenes"), _scenes),
    (
        (*_SETS, "finetune", "inference", "textual_probe", "visual_probe", "protocol_ablations", "crop_or_model"),
        _too_few_images,
    ),
)


def check_inputs(params: "Parameters", source: str | Path = "params.yaml") -> None:
    """Raise ValueError with a line for each file or folder that the parameters name and that is missing or unusable.

    Looked at are image sets (the number of rows and the cues of captions.csv), folders of models, checkpoints and the tables
    of replicates: what the pipeline reads and does not make. Takes milliseconds.
    """
    sections = params.model_dump()
    faults = [
        *_missing_folders(sections),
        *_unusable_captions(sections),
        *_too_few_jpg_files(sections),
        *_too_few_to_train_on(sections),
        *_missing_files(sections),
        *_missing_replicates(sections),
    ]
    raise_faults(faults, source)


def _missing_folders(sections: dict) -> Iterator[Fault]:
    for path, folder in _input_folders(sections):
        if not _in_results(sections, folder.parent) and not folder.is_dir():
            advice = "put it there" + (", or take its name out of the list" if path.startswith("image_sets") else "")
            siblings = sorted(x.name for x in folder.parent.glob("*/")) if folder.parent.is_dir() else []
            found = f"; {folder.parent} holds {_listed(siblings)}" if siblings else ""
            yield Fault(path, f"names {folder}, which is not a folder: {advice}{found}{nearest(folder.name, siblings)}")


def _listed(names: list[str], most: int = 8) -> str:
    return ", ".join(names[:most]) + (f" and {len(names) - most} others" if len(names) > most else "")


def _unusable_captions(sections: dict) -> Iterator[Fault]:
    required = _required_images(sections)
    generic_cues = sections["textual_probe"]["generic_cues"]
    for k, name in enumerate(sections["image_sets"]):
        table = Path(sections["data"], name, "captions.csv")
        rows = None if Path(sections["data"]) == _results(sections) / "image_sets" else _read_rows(table)
        if rows is None:
            continue
        if len(rows) < required:
            problem = f"names {table.parent} with {len(rows)} images: expected at least {required}"
            yield Fault(
                f"image_sets[{k}]", f"{problem}, because with fewer no signed-rank test of the probes can reject"
            )
        cues = {row.get("cue") for row in rows} - {None}
        for cue in generic_cues:
            if not _differs(cue, list(cues)):
                problem = f"names {table.parent}, where {shown(cue)} is a format cue: expected other words"
                yield Fault(f"image_sets[{k}]", f"{problem}, because `textual_probe.generic_cues` has the same")


def _too_few_jpg_files(sections: dict) -> Iterator[Fault]:
    """A set to fine-tune on with fewer .jpg files than captions, where captions are paired with .jpg files by order."""
    folder = Path(sections["finetune"]["image_set"])
    rows = None if _rendered_name(sections, folder) else _read_rows(folder / "captions.csv")
    if sections["protocol"]["pairing"] != "order" or rows is None:
        return
    images = folder / "images" if (folder / "images").is_dir() else folder
    n_files = sum(1 for _ in images.glob("*.jpg"))
    if n_files < len(rows):
        problem = (
            f"names {folder} with {n_files} files that end in .jpg and {len(rows)} captions: expected one for each"
        )
        yield Fault("finetune.image_set", f"{problem}, because `protocol.pairing` is order")


def _too_few_to_train_on(sections: dict) -> Iterator[Fault]:
    """A set to fine-tune on of which too few panoramas are left once others are held out, by fine-tuning or by matching."""
    folder = Path(sections["finetune"]["image_set"])
    rows = None if _rendered_name(sections, folder) else _read_rows(folder / "captions.csv")
    if rows is None:
        return
    matching, required = sections["capabilities"]["matching"], _required_images(sections)
    n_validation = sections["finetune"]["n_validation"]
    if len(rows) - n_validation < required:
        problem = f"is {n_validation}: expected at most {max(len(rows) - required, 0)} of the {len(rows)} panoramas of {folder}"
        reason = f"because with less than {required} to train on no signed-rank test of the trade-off can reject"
        yield Fault("finetune.n_validation", f"{problem}, {reason}")
    if matching["models"] and matching["n_validation"] >= len(rows):
        problem = f"is {matching['n_validation']}: expected less than the {len(rows)} panoramas of {folder}"
        yield Fault("capabilities.matching.n_validation", problem)


def _read_rows(table: Path) -> list[dict] | None:
    """The rows of a captions.csv; None where it cannot be read, which the stage that loads the set reports."""
    try:
        with table.open(encoding="utf-8-sig", newline="") as file:
            return list(csv.DictReader(file))
    except (OSError, UnicodeDecodeError, csv.Error):
        return None


def _missing_files(sections: dict) -> Iterator[Fault]:
    if os.path.isfile(sections["figures"]):
        yield Fault("figures", f"names {sections['figures']}, which is a file: expected a folder")
    for name, source in sections["weights"].items():
        architecture, pretrained = source["architecture"], source["pretrained"] or ""
        if architecture.endswith(".json") and not os.path.isfile(architecture):
            yield Fault(f"weights.{name}.architecture", f"names {architecture}, which does not exist: put it there")
        is_path = "/" in pretrained or pretrained.endswith((".pt", ".pth", ".bin", ".safetensors"))
        if is_path and not os.path.isfile(pretrained):
            yield Fault(f"weights.{name}.pretrained", f"names {pretrained}, which does not exist: put it there")


def _missing_replicates(sections: dict) -> Iterator[Fault]:
    replicates = sections["replicates"]
    for path, name in (*_at(sections, "replicates.names.*"), *_at(sections, "replicates.other_machines.~")):
        profile, kept = Path("profiles", f"{name}.yaml"), REPLICATES / name / "provenance.json"
        if not profile.is_file():
            similar = nearest(name, (path.stem for path in profile.parent.glob("*.yaml")))
            yield Fault(path, f"is {shown(name)}, which is not a profile: expected {profile} to exist{similar}")
        elif not kept.is_file():
            yield Fault(path, f"needs {kept}, which does not exist: run `make replicates NAME={name}` first")
        elif missing := set(replicates["stages"]) - set(json.loads(kept.read_text(encoding="utf-8"))["stages"]):
            expected = f"run `make replicates NAME={name}` again"
            yield Fault(path, f"needs the stage {min(missing)}, which the run kept in {kept.parent} lacks: {expected}")


def _input_folders(sections: dict) -> Iterator[tuple[str, Path]]:
    """The folders that the pipeline reads, each with the path of the parameter that names it."""
    for _, data in _at(sections, "data"):
        for path, name in _at(sections, "image_sets.*"):
            if _is_path(data) and _is_name(name):
                yield path, Path(data, name)
    for pattern in INPUT_FOLDERS:
        yield from ((path, Path(folder)) for path, folder in _at(sections, pattern) if _is_path(folder))


def _rendered_name(sections: dict, folder: str | Path) -> str | None:
    """The name of the rendered set that the pipeline writes to a folder; None of other folders."""
    folder = Path(folder)
    is_rendered = folder.parent == _results(sections) / "image_sets" and folder.name in sections["rendered_sets"]
    return folder.name if is_rendered else None


def _in_results(sections: dict, folder: Path) -> str:
    """A folder in results/PROFILE, relative to it; empty for other folders, and for results/PROFILE itself."""
    results = _results(sections)
    return folder.relative_to(results).as_posix() if results in folder.parents else ""


def _results(sections: dict) -> Path:
    profile = sections.get("profile")
    return Path("results", profile if _is_name(profile) else "PROFILE")


def _is_name(value: Any) -> bool:
    return isinstance(value, str) and re.fullmatch(NAME, value) is not None


def _is_path(value: Any) -> bool:
    return isinstance(value, str) and value.isprintable() and 0 < len(value) <= 1000


def _overlap(*paths: str) -> bool:
    """Is one path equal to the other, or inside it?"""
    outer, inner = sorted(paths, key=len)
    return inner == outer or not outer or inner.startswith((f"{outer}.", f"{outer}["))


def _at(value: Any, pattern: str, path: str = "") -> Iterator[tuple[str, Any]]:
    """All values at a pattern, each with its own path; none where a section on the way is not a section."""
    if not pattern:
        yield path, value
        return
    step, _, rest = pattern.partition(".")
    if isinstance(value, list) and step == "*":
        for k, entry in enumerate(value):
            yield from _at(entry, rest, f"{path}[{k}]")
    elif isinstance(value, dict):
        for key in filter(_is_name, value):
            if step in ("*", "~", key):
                yield from _at(key if step == "~" else value[key], rest, f"{path}.{key}".removeprefix("."))
