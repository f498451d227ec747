"""Switch params.yaml to a profile.

    python -m pipeline.profiles NAME

profiles/world.yaml is complete and is the default; any other profiles/NAME.yaml holds only what differs from it, or from the
profile that its line `extends: NAME` names.
A section tagged `!replace` takes the place of the default's section; without the tag the two are merged key by key.
Run it from the repository root. Everything that is wrong with the profile is told; hand edits of params.yaml are never
overwritten.
"""

import io
import sys
from pathlib import Path

from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap

from pipeline.kinds import nearest, shown
from pipeline.parameters import PARAMS, tell
from pipeline.validation import parse, read_text, require_valid

PROFILES = Path("profiles")
DEFAULT = "world"


def compose(name: str) -> str:
    """Text of params.yaml under the profile ``name``, with the comments of the default."""
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
    """The profiles there are, sorted."""
    return sorted(path.stem for path in PROFILES.glob("*.yaml"))


def use_profile(name: str) -> None:
    """Write the profile ``name`` to params.yaml, unless it is faulty or that would lose hand edits (ValueError)."""
    text = compose(name)
    params = parse(text, _path(name))
    require_valid(params, _path(name))
    if params["profile"] != name:
        raise ValueError(
            f"{_path(name)}: `profile` is {shown(params['profile'])}: expected {name}, the name of the file"
        )
    present = PARAMS.read_text(encoding="utf-8", errors="replace") if PARAMS.exists() else text
    if present not in map(compose, profile_names()):
        raise ValueError(
            f"{PARAMS} was edited by hand: keep the edits as {PROFILES}/NAME.yaml, or drop them with "
            f"`git checkout {PARAMS}`, then switch to `{name}`"
        )
    if present != text or not PARAMS.exists():
        PARAMS.write_text(text, encoding="utf-8", newline="\n")


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("usage: python -m pipeline.profiles NAME")
    tell(use_profile, sys.argv[1])
