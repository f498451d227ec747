"""The stages of a profile, as dvc.yaml expands them: without DVC, which only knows the profile in use."""

import re
from collections.abc import Iterator, Mapping
from functools import reduce
from itertools import product
from operator import getitem
from pathlib import Path
from typing import Any, NamedTuple

from pipeline.parameters import Parameters, parse, read_text

STAGES = Path("dvc.yaml")
REFERENCE = re.compile(r"\$\{(?P<path>[\w.]+)\}")


class Stage(NamedTuple):
    """A stage: its name as DVC writes it, its kind, what it is for, such as a model and an image set, its command and its outputs."""

    name: str
    kind: str
    items: tuple[str, ...]
    command: str
    outputs: tuple[str, ...] = ()

    @property
    def is_notebook(self) -> bool:
        return self.module == "pipeline.run_notebook"

    @property
    def module(self) -> str:
        """The module that the command runs."""
        return self.command.split()[2]

    @property
    def arguments(self) -> list[str]:
        """The arguments of the module."""
        return self.command.split()[3:]


def stages_of(params: Parameters) -> list[Stage]:
    """All stages that `dvc repro` considers, in the order of dvc.yaml; frozen ones are none of them."""
    return list(expand(parse(read_text(STAGES), STAGES)["stages"], params.model_dump()))


def expand(stages: Mapping[str, Any], sections: Mapping[str, Any]) -> Iterator[Stage]:
    """The stages of each entry of dvc.yaml: one, or one for each entry of its `matrix` or `foreach`.

    >>> score = {"matrix": {"model": "${models}"}, "cmd": "python -m score ${item.model}", "outs": ["${profile}/${item.model}"]}
    >>> [tuple(stage)[2:] for stage in expand({"score": score}, {"models": ["a", "b"], "profile": "tiny"})]
    [(('a',), 'python -m score a', ('tiny/a',)), (('b',), 'python -m score b', ('tiny/b',))]
    """
    for kind, entry in stages.items():
        body = entry.get("do", entry)
        if body.get("frozen"):
            continue
        axes = {"key": entry["foreach"]} if "foreach" in entry else entry.get("matrix", {})
        names = [name if name == "key" else f"item.{name}" for name in axes]
        for items in product(*(_names(axis, sections) for axis in axes.values())):
            known = dict(zip(names, items, strict=True))
            name = f"{kind}@{'-'.join(items)}" if axes else kind
            outputs = (out if isinstance(out, str) else next(iter(out)) for out in body.get("outs", []))
            command, *outputs = (_filled(text, known, sections) for text in (body["cmd"], *outputs))
            yield Stage(name, kind, items, command, tuple(outputs))


def _filled(text: str, known: Mapping[str, str], sections: Mapping[str, Any]) -> str:
    """A text of dvc.yaml with values in the place of references: those ``known``, and others of ``sections``."""
    return REFERENCE.sub(lambda match: known.get(match["path"]) or _value(match["path"], sections), text)


def _value(path: str, sections: Mapping[str, Any]) -> Any:
    """The value at a dotted path."""
    return reduce(getitem, path.split("."), sections)


def _names(reference: str | list[str], sections: Mapping[str, Any]) -> list[str]:
    """The names that a reference such as ``${finetune.runs}`` stands for, the entries of a list or the keys of a section; a list itself."""
    if isinstance(reference, list):
        return reference
    match = REFERENCE.fullmatch(reference)
    if not match:
        raise ValueError(f"{STAGES} goes through {reference}: expected a reference such as ${{models}}")
    return list(_value(match["path"], sections) or [])
