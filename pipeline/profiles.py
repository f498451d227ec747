"""Switch params.yaml to a profile.

profiles/world.yaml is complete and is the default; every other profiles/NAME.yaml holds only what differs from it, or from the
profile that its line `extends: NAME` names. A section tagged `!replace` takes the place of the default's section; without the
tag the two are merged key by key.
Run this from the repository root. It reports everything that is wrong with the profile and never overwrites hand edits of
params.yaml. Each profile has a dvc.lock of its own, which is put aside with it: what was computed is known again after switching
back, and DVC, which reads and writes the whole file for every stage, does so faster.
"""

import argparse
import io
import shutil
from pathlib import Path

from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap

from pipeline.error_messages import nearest, report, shown
from pipeline.parameters import PARAMS, parse, read_text, validate

PROFILES = Path("profiles")
DEFAULT = "world"
LOCK, LOCKS = Path("dvc.lock"), Path("results", "locks")
OF_ALL_PROFILES = ("replicate@", "other_machine@")  # stages that do not depend on the profile


def compose(name: str) -> str:
    """The text of params.yaml under the profile ``name``, with the comments of the default profile."""
    if name == DEFAULT:
        return read_text(_path(name))
    yaml = YAML()
    yaml.preserve_quotes = True
    yaml.width = 1000  # never fold a line
    params, layers = _load(DEFAULT, yaml), {name: _load(name, yaml)}
    base = layers[name].pop("extends", None)
    while base:
        if base in list(layers):
            raise ValueError(f"the profiles {', '.join(layers)} extend each other in a circle: end it")
        layers[base] = _load(base, yaml)
        base = layers[base].pop("extends", None)
    for changes in reversed(layers.values()):
        _overlay(params, changes)
    text = io.StringIO()
    yaml.dump(params, text)
    return text.getvalue()


def _load(name: str, yaml: YAML) -> CommentedMap:
    return parse(read_text(_path(name)), _path(name), yaml)


def _path(name: str) -> Path:
    if name not in profile_names():
        expected = f"choose one of {', '.join(profile_names())}{nearest(name, profile_names())}"
        raise ValueError(f"there is no profile {shown(name)} in {PROFILES}: {expected}")
    return PROFILES / f"{name}.yaml"


def _overlay(params: CommentedMap, changes: CommentedMap) -> None:
    for key, change in changes.items():
        if not isinstance(change, CommentedMap):
            params[key] = change
        elif isinstance(params.get(key), CommentedMap) and change.tag.value != "!replace":
            _overlay(params[key], change)
        else:
            params[key] = CommentedMap(change)  # without the tag
            if change.fa.flow_style():
                params[key].fa.set_flow_style()


def profile_names() -> list[str]:
    """The names of all profiles, sorted."""
    return sorted(path.stem for path in PROFILES.glob("*.yaml"))


def use_profile(name: str) -> None:
    """Write the profile ``name`` to params.yaml; ValueError if it is faulty or if hand edits would be lost."""
    text = compose(name)
    params = validate(parse(text, _path(name)), _path(name))
    if params.profile != name:
        raise ValueError(f"{_path(name)}: `profile` is {shown(params.profile)}: expected {name}, the name of the file")
    present = PARAMS.read_text(encoding="utf-8", errors="replace") if PARAMS.exists() else text
    if present not in map(compose, profile_names()):
        raise ValueError(
            f"{PARAMS} was edited by hand: keep the edits as {PROFILES}/NAME.yaml, or drop them with "
            f"`git checkout {PARAMS}`, then switch to `{name}`"
        )
    if not PARAMS.exists():
        PARAMS.write_text(text, encoding="utf-8", newline="\n")
    elif present != text:
        switch_lock(parse(present, PARAMS)["profile"], name)
        PARAMS.write_text(text, encoding="utf-8", newline="\n")


def switch_lock(present: str, name: str) -> None:
    """Put the dvc.lock of the profile ``present`` aside and take that of ``name``, or a new one for a profile that has none."""
    if not LOCK.exists():
        return
    LOCKS.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(LOCK, LOCKS / f"{present}.lock")
    if (kept := LOCKS / f"{name}.lock").exists():
        shutil.copyfile(kept, LOCK)
        return
    lock = parse(read_text(LOCK), LOCK)
    lock["stages"] = {stage: entry for stage, entry in lock["stages"].items() if stage.startswith(OF_ALL_PROFILES)}
    YAML(typ="safe").dump(lock, LOCK)


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m pipeline.profiles", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("name", metavar="NAME", help="a profile, such as world, tiny or paper")
    use_profile(parser.parse_args().name)


if __name__ == "__main__":
    report(main)
