"""Kinds of parameters, and what is wrong with a value that should be of one, in a sentence.

A dict is a section with these keys, of which those that end in `?` may be left out; `Named` is a section whose keys the reader
chooses, `Many` a list, `Value` a single value.
"""

import re
import reprlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any, NamedTuple


@dataclass(frozen=True)
class Value:
    """A single value: which are right, in words and as a test; ``names`` are all of them, where they are few."""

    expected: str
    right: Callable[[Any], bool]
    names: tuple[str, ...] = ()


@dataclass(frozen=True)
class Many:
    """A list of different values, ``least`` to ``most`` of them."""

    each: Value
    least: int = 0
    most: int = 1000


@dataclass(frozen=True)
class Named:
    """A section of things that the reader names, each as ``each`` says."""

    each: Any


class Fault(NamedTuple):
    """What is wrong at a path of names, such as `finetune.runs.mine.model`."""

    path: str
    problem: str


def whole(low: int, high: int) -> Value:
    return Value(f"a whole number from {low} to {high}", lambda x: type(x) is int and low <= x <= high)


def number(low: float, high: float) -> Value:
    return Value(f"a number from {low:g} to {high:g}", lambda x: type(x) in (int, float) and low <= x <= high)


def within(low: float, high: float) -> Value:
    return Value(f"a number between {low:g} and {high:g}", lambda x: type(x) in (int, float) and low < x < high)


def one_of(*names: str) -> Value:
    return Value(f"one of {', '.join(names)}", lambda x: isinstance(x, str) and x in names, names)


def text(expected: str, pattern: str = r".*\S.*") -> Value:
    def right(x: Any) -> bool:
        return isinstance(x, str) and len(x) <= 1000 and x.isprintable() and re.fullmatch(pattern, x) is not None

    return Value(expected, right)


def or_null(value: Value) -> Value:
    return Value(f"{value.expected}, or null", lambda x: x is None or value.right(x), value.names)


SWITCH = Value("true or false", lambda x: isinstance(x, bool))
# Names become names of files and of stages, and words of their commands.
NAME = text("a name of at most 80 letters, digits, _ and -", r"\w[\w-]{0,79}")


def faults_of(value: Any, kind: Any, path: str = "") -> Iterator[Fault]:
    """What is wrong with a value by itself, and with all in it."""
    if isinstance(kind, Value):
        if not kind.right(value):
            yield Fault(path, f"is {shown(value)}: expected {kind.expected}{nearest(value, kind.names)}")
    elif isinstance(kind, Many):
        yield from _faults_of_list(value, kind, path)
    elif not isinstance(value, dict):
        yield Fault(path, f"is {shown(value)}: expected a section")
    elif isinstance(kind, Named):
        for name, entry in value.items():
            if NAME.right(name):
                yield from faults_of(entry, kind.each, join(path, name))
            else:
                yield Fault(path, f"has the key {shown(name)}: expected {NAME.expected}")
    else:
        yield from _faults_of_section(value, kind, path)


def _faults_of_list(value: Any, kind: Many, path: str) -> Iterator[Fault]:
    if not isinstance(value, list) or not kind.least <= len(value) <= kind.most:
        yield Fault(path, f"is {shown(value)}: expected a list of {kind.least} to {kind.most} entries")
        return
    for k, entry in enumerate(value):
        yield from faults_of(entry, kind.each, f"{path}[{k}]")
        if isinstance(entry, str) and entry in value[:k]:
            yield Fault(f"{path}[{k}]", f"is {shown(entry)} again: expected different entries")


def _faults_of_section(section: dict, kinds: dict, path: str) -> Iterator[Fault]:
    known = {key.removesuffix("?"): kind for key, kind in kinds.items()}
    for key in section:
        if key not in known:
            advice = f"expected one of {', '.join(known)}{nearest(key, known)}"
            yield Fault(join(path, key if NAME.right(key) else shown(key)), f"is unknown: {advice}")
    for key, kind in known.items():
        if key in section:
            yield from faults_of(section[key], kind, join(path, key))
        elif key in kinds:
            expected = kind.expected if isinstance(kind, Value) else "a list" if isinstance(kind, Many) else "a section"
            yield Fault(join(path, key), f"is missing: expected {expected}")


def nearest(name: Any, names: Iterable[str]) -> str:
    """A question that ends a sentence: was the most similar of ``names`` meant? Empty if none is similar."""
    found = get_close_matches(name[:100], list(names), n=1, cutoff=0.5) if isinstance(name, str) else []
    return f"; did you mean {found[0]}?" if found else ""


def join(path: str, name: str) -> str:
    return f"{path}.{name}" if path else name


_REPR = reprlib.Repr()
_REPR.maxstring = _REPR.maxother = 80
_REPR.maxlevel = 2


def shown(value: Any) -> str:
    """A value as YAML writes it, on one line, the middle of a long one left out.

    >>> shown(None), shown("a\\nb"), shown([1.5, True])
    ('null', "'a\\\\nb'", '[1.5, True]')
    """
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    try:
        return " ".join(_REPR.repr(value).split())
    except ValueError:  # of a number of thousands of digits
        return "a number far too large"
