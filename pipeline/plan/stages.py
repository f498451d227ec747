"""The stages of a profile, as dvc.yaml expands them: without DVC, which only knows the profile in use."""

import re
from collections.abc import Iterator, Mapping
from itertools import product
from pathlib import Path
from typing import Any, NamedTuple

from pipeline.parameters import Parameters, parse, read_text

STAGES = Path("dvc.yaml")
REFERENCE = re.compile(r"\$\{(?P<path>[\w.]+)\}")


class Stage(NamedTuple):
    """A stage: its name as DVC writes it, its kind, what it is for, such as a model and an image set, and its command."""

    name: str
    kind: str
    items: tuple[str, ...]
    command: str

    @property
    def is_notebook(self) -> bool:
        return self.module == "pipeline.run_notebook"

    @property
    def module(self) -> str:
        """The module that the command runs."""
        return self.command.split()[2]

    @property
    def arguments(self) -> list[str]:
        """The arguments of the command, with the stage's items in the places of references to them.

        >>> Stage("score@a-b", "score", ("a", "b"), "python -m score --set ${item.set} ${item.model}").arguments
        ['--set', 'a', 'b']
        """
        items = iter(self.items)
        return [next(items) if word.startswith("${") else word for word in self.command.split()[3:]]


def stages_of(params: Parameters) -> list[Stage]:
    """All stages that `dvc repro` considers, in the order of dvc.yaml; frozen ones are none of them."""
    return list(expand(parse(read_text(STAGES), STAGES)["stages"], params.model_dump()))


def expand(stages: Mapping[str, Any], sections: Mapping[str, Any]) -> Iterator[Stage]:
    """The stages of each entry of dvc.yaml: one, or one for each entry of its `matrix` or `foreach`.

    >>> [stage.name for stage in expand({"score": {"matrix": {"model": "${models}"}, "cmd": "x"}}, {"models": ["a", "b"]})]
    ['score@a', 'score@b']
    """
    for kind, entry in stages.items():
        body = entry.get("do", entry)
        if body.get("frozen"):
            continue
        axes = [entry["foreach"]] if "foreach" in entry else list(entry.get("matrix", {}).values())
        for items in product(*(_names(axis, sections) for axis in axes)):
            yield Stage(f"{kind}@{'-'.join(items)}" if axes else kind, kind, items, body["cmd"])


def _names(reference: str | list[str], sections: Mapping[str, Any]) -> list[str]:
    """The names that a reference such as ``${finetune.runs}`` stands for, the entries of a list or the keys of a section; a list itself."""
    if isinstance(reference, list):
        return reference
    match = REFERENCE.fullmatch(reference)
    if not match:
        raise ValueError(f"{STAGES} goes through {reference}: expected a reference such as ${{models}}")
    value: Any = sections
    for step in match["path"].split("."):
        value = value[step]
    return list(value or [])
