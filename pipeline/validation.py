"""Everything that is wrong with params.yaml or a profile, told at once, before the first stage runs.

Called by `pipeline.profiles` and `pipeline.run_parallel` alone: no stage depends on it.
"""

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

from ruamel.yaml import YAML

from pipeline.kinds import NAME, Fault, faults_of, join, nearest, shown
from pipeline.schema import FOLDER, PATH, SCHEMA

# In a path, `*` stands for any entry of a list or section, `~` for any key. A name at the first path is given at one of the others.
REFERENCES = {
    "models.*": ("pretrain.share", "weights"),
    "finetune.runs.*.model": ("models",),
    "finetune.untrained.~": ("models",),
    "roads.base.*": ("models",),
    "hazards.models.*": ("models",),
    "crop_or_model.inside.models.*": ("models",),
    "crop_or_model.scenes.~": ("image_sets",),
    "abilities.matched.*": ("models",),
}
FOLDERS = ("finetune.image_set", "finetune.moved", "own_images.images", "own_images.model", "own_images.adapter")
# What the pipeline makes in results/PROFILE, and what earlier runs left in figures/replicates.
MADE = {"sets": "rendered_sets", "models": "models", "adapters": "finetune.runs"}
KEPT = {
    "replicates.*": "{}.csv",
    "machines.*": "{}.csv",
    "roads.worlds.*": "{}/roads.csv",
    "sweeps.shares.worlds.*": "{}/decomposition.csv",
}
REPLICATES = Path("figures", "replicates")

TRAINING, VISION, TEXT = "pretrain.optimisation", "pretrain.architecture.vision_cfg", "pretrain.architecture.text_cfg"
MULTIPLES = {
    "visual_probe.curve": "visual_probe.tested",
    "crop_or_model.steps": "crop_or_model.turns",
    f"{VISION}.image_size": f"{VISION}.patch_size",
    f"{VISION}.width": f"{VISION}.head_width",
    f"{TEXT}.width": f"{TEXT}.heads",
}
AT_MOST = {
    "finetune.worst": "finetune.views",
    f"{TRAINING}.batch": "pretrain.pictures",
    f"{TRAINING}.warmup": f"{TRAINING}.steps",
}


class Relation(NamedTuple):
    """What the value at a path is expected to be, as ``right`` tells of it and of the values at the other paths."""

    path: str
    others: tuple[str, ...]
    expected: str
    right: Callable[..., bool]


def _has_source(weights: dict) -> bool:
    return ("revision" if weights["architecture"].startswith("hf-hub:") else "pretrained") in weights


def _enough(share: float, pictures: int, views: int, panoramas: int) -> bool:
    wide = round(share * pictures)
    return wide <= panoramas and pictures - wide <= views


def _own(figures: str, profile: str) -> bool:
    return not figures.startswith("results/") or figures.startswith(f"results/{profile}/")


def _by_model(untrained: dict) -> bool:
    return all(way["model"] == model for model, ways in untrained.items() for way in ways.values())


POOL = ("pretrain.pictures", "pools.pool.views", "pools.pool.panoramas")
RELATIONS = (
    *(Relation(x, (y,), f"a multiple of `{y}`", lambda x, y: x % y == 0) for x, y in MULTIPLES.items()),
    *(Relation(x, (y,), f"at most `{y}`", lambda x, y: x <= y) for x, y in AT_MOST.items()),
    Relation("figures", ("profile",), "a folder that is not in another profile's results", _own),
    Relation("weights.*", (), "also `revision` for a model of a hub, else `pretrained`", _has_source),
    Relation(
        "weights", ("pretrain.share",), "no model that `pretrain` trains", lambda x, share: not x.keys() & share.keys()
    ),
    Relation(
        "pools", ("pretrain.share",), "a `pool` to train models on", lambda pools, share: bool(pools or not share)
    ),
    Relation("pretrain.share.*", POOL, "a share for which `pools.pool` has the pictures", _enough),
    Relation(f"{VISION}.image_size", ("pools.pool.size",), "`pools.pool.size`", lambda x, y: x == y),
    Relation(
        "finetune.validation", ("roads.base",), "more than 0, for `roads` to choose by", lambda n, base: n or not base
    ),
    Relation(
        "finetune.runs.*",
        ("protocol.view",),
        "also a `view` of one picture, where `protocol.view` is multi_view",
        lambda run, view: "view" in run or view != "multi_view",
    ),
    Relation(
        "abilities.matched",
        ("finetune.image_set", "rendered_sets"),
        "[], as the scenes of `finetune.image_set` are not known by `rendered_sets`",
        lambda matched, folder, rendered: not matched or Path(folder).name in rendered,
    ),
    Relation(
        "abilities.viewpoints.images",
        ("abilities.images",),
        "at most `abilities.images`",
        lambda some, images: images is None or some <= images,
    ),
    Relation("finetune.untrained", (), "each way under the model that it names", _by_model),
    Relation(
        "finetune.untrained.*.*.turns",
        ("visual_probe.tested",),
        "a divisor of twice `visual_probe.tested`",
        lambda turns, tested: 2 * tested % turns == 0,
    ),
)


def read_text(path: Path) -> str:
    """The text of a file; FileNotFoundError if there is none, ValueError if it is not UTF-8."""
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError as error:
        raise FileNotFoundError(f"{path} does not exist here: run this from the repository root") from error
    except UnicodeDecodeError as error:
        raise ValueError(f"{path} is not UTF-8 at byte {error.start}: save it again as that") from error


def parse(text: str, where: str | Path, yaml: YAML | None = None) -> dict:
    """The sections that a YAML text holds; ValueError, naming ``where`` it stands, if it holds none."""
    try:
        sections = (yaml or YAML(typ="safe")).load(text)
    except Exception as error:  # the parser raises errors of many kinds
        mark, problem = getattr(error, "problem_mark", None), getattr(error, "problem", None) or error
        line = f" in line {mark.line + 1}" if mark else ""
        raise ValueError(f"{where} is no YAML{line} ({' '.join(str(problem).split())[:200]}): correct it") from error
    if not isinstance(sections, dict):
        raise ValueError(f"{where} holds {shown(sections)}: expected sections, as profiles/world.yaml has them")
    return sections


def require_valid(params: dict, where: str | Path, *, inputs: bool = False) -> None:
    """Raise ValueError if the pipeline cannot run with parameters: a line for each fault, that names ``where`` and its path.

    With ``inputs``, what the pipeline reads and does not make must be there too.
    """
    faults = list(faults_of(params, SCHEMA))
    faults += [*_dangling(params), *_unfit(params, {fault.path for fault in faults})]
    if inputs:
        faults += _absent(params)
    if faults:
        raise ValueError("\n".join(f"{where}: `{fault.path}` {fault.problem}" for fault in faults))


def _dangling(params: dict) -> Iterator[Fault]:
    """Names that are given nowhere."""
    for pattern, sources in REFERENCES.items():
        for path, name in _at(params, pattern):
            yield from _unless_given(path, name, sources, params)
    for path, folder in _folders(params):
        if folder.parent.parent == _results(params) and folder.parent.name in MADE:
            yield from _unless_given(path, folder.name, (MADE[folder.parent.name],), params)


def _unless_given(path: str, name: Any, sources: tuple[str, ...], params: dict) -> Iterator[Fault]:
    given = [names for source in sources for _, names in _at(params, source) if isinstance(names, dict | list)]
    known = list(dict.fromkeys(one for names in given for one in names if FOLDER.right(one)))
    if FOLDER.right(name) and name not in known and len(given) == len(sources):
        source = " or ".join(f"`{source}`" for source in sources)
        expected = f"one of {', '.join(known)}, of {source}" if known else f"a name of {source}, where there is none"
        yield Fault(path, f"is {shown(name)}: expected {expected}{nearest(name, known)}")


def _unfit(params: dict, faulty: set[str]) -> Iterator[Fault]:
    """Values that do not fit others; only those that are right by themselves are compared."""
    for relation in RELATIONS:
        others = [found for other in relation.others for found in _at(params, other)]
        if len(others) < len(relation.others):
            continue
        for path, value in _at(params, relation.path):
            sound = not any(_one_in_other(one, fault) for one in (path, *dict(others)) for fault in faulty)
            if sound and not relation.right(value, *(other for _, other in others)):
                yield Fault(path, f"is {shown(value)}: expected {relation.expected}")


def _one_in_other(*paths: str) -> bool:
    outer, inner = sorted(paths, key=len)
    return inner == outer or inner.startswith((f"{outer}.", f"{outer}["))


def _absent(params: dict) -> Iterator[Fault]:
    """Folders and files that are read, but neither made by the pipeline nor there."""
    for path, folder in _folders(params):
        if folder.parent.parent != _results(params) and not os.path.isdir(folder):
            beside = os.listdir(folder.parent) if os.path.isdir(folder.parent) else []
            yield Fault(path, f"leads to {folder}, which is no folder: put it there{nearest(folder.name, beside)}")
    for pattern, name in KEPT.items():
        for path, world in _at(params, pattern):
            file = REPLICATES / name.format(world)
            if NAME.right(world) and not file.is_file():
                similar = nearest(world, (kept.stem for kept in REPLICATES.glob("*")))
                yield Fault(path, f"leads to {file}, which does not exist: run that profile first{similar}")


def _folders(params: dict) -> Iterator[tuple[str, Path]]:
    """The folders that are read, each with the path of what names it."""
    for _, data in _at(params, "data"):
        for path, name in _at(params, "image_sets.*"):
            if PATH.right(data) and FOLDER.right(name):
                yield path, Path(data, name)
    for pattern in FOLDERS:
        yield from ((path, Path(folder)) for path, folder in _at(params, pattern) if PATH.right(folder))


def _results(params: dict) -> Path:
    profile = params.get("profile")
    return Path("results", profile if NAME.right(profile) else "PROFILE")


def _at(value: Any, pattern: str, path: str = "") -> Iterator[tuple[str, Any]]:
    """All that lies at a pattern, each with its own path; nothing where a section on the way is none."""
    if not pattern:
        yield path, value
        return
    step, _, rest = pattern.partition(".")
    if isinstance(value, list) and step == "*":
        for k, entry in enumerate(value):
            yield from _at(entry, rest, f"{path}[{k}]")
    elif isinstance(value, dict):
        for key in filter(NAME.right, value):
            if step in ("*", "~", key):
                yield from _at(key if step == "~" else value[key], rest, join(path, key))
