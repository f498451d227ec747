"""Switch params.yaml to a profile.

    python -m stages.use_profile NAME

profiles/world.yaml is complete and is the default; any other profiles/NAME.yaml holds only what differs from it, or from the
profile that its line `extends: NAME` names.
A section tagged `!replace` takes the place of the default's section; without the tag the two are merged key by key.
Run it from the repository root. Hand edits of params.yaml are never overwritten.
"""

import io
import sys
from pathlib import Path

from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap

PARAMS = Path("params.yaml")
PROFILES = Path("profiles")
DEFAULT = "world"


def compose(name: str) -> str:
    """Text of params.yaml under the profile ``name``, with the comments of the default."""
    if name == DEFAULT:
        return _read(name)
    yaml = YAML()
    yaml.preserve_quotes = True
    yaml.width = 1000  # never fold a line
    params, layers = yaml.load(_read(DEFAULT)), [(name, yaml.load(_read(name)))]
    while base := layers[-1][1].pop("extends", None):
        if base in dict(layers):
            raise ValueError(f"the profiles {', '.join(dict(layers))} extend each other in a circle: end it")
        layers.append((base, yaml.load(_read(base))))
    for layer, changes in reversed(layers):
        _overlay(params, changes, where=f"{PROFILES}/{layer}.yaml")
    text = io.StringIO()
    yaml.dump(params, text)
    return text.getvalue()


def _read(name: str) -> str:
    path = PROFILES / f"{name}.yaml"
    if not path.is_file():
        raise ValueError(f"there is no profile `{name}` in {PROFILES}: choose one of {', '.join(profile_names())}")
    return path.read_text(encoding="utf-8")


def _overlay(params: CommentedMap, changes: CommentedMap, where: str) -> None:
    for key, change in changes.items():
        here = f"{where}: `{key}`"
        if key not in params:
            raise ValueError(f"{here} is not in {PROFILES / DEFAULT}.yaml: expected one of {', '.join(params)}")
        if isinstance(change, CommentedMap) != isinstance(params[key], CommentedMap):
            raise ValueError(f"{here} must be a section in both profiles or in none")
        if isinstance(change, CommentedMap) and change.tag.value != "!replace":
            _overlay(params[key], change, here)
        elif isinstance(change, CommentedMap):
            params[key] = CommentedMap(change)  # without the tag
            if change.fa.flow_style():
                params[key].fa.set_flow_style()
        else:
            params[key] = change


def profile_names() -> list[str]:
    """The profiles there are, sorted."""
    return sorted(path.stem for path in PROFILES.glob("*.yaml"))


def use_profile(name: str) -> None:
    """Write the profile ``name`` to params.yaml, unless that would lose hand edits (ValueError)."""
    text = compose(name)
    present = PARAMS.read_text(encoding="utf-8") if PARAMS.exists() else text
    if present not in map(compose, profile_names()):
        raise ValueError(
            f"{PARAMS} was edited by hand: keep the edits as {PROFILES}/NAME.yaml, or drop them with "
            f"`git checkout {PARAMS}`, then switch to `{name}`"
        )
    if present != text or not PARAMS.exists():
        PARAMS.write_text(text, encoding="utf-8", newline="\n")


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("usage: python -m stages.use_profile NAME")
    try:
        use_profile(sys.argv[1])
    except ValueError as error:
        sys.exit(str(error))
