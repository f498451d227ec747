"""Error messages of the pipeline: how they show values and names, and how a command ends with one."""

import reprlib
import shutil
import sys
from collections.abc import Callable, Iterable
from difflib import SequenceMatcher
from typing import Any

from safetensors import SafetensorError

ALIKE = 2 / 3  # ratio of difflib from which a name is suggested: one wrong letter of three
FULL_DISK = 2**16  # bytes; a disk with less free space is full

_REPR = reprlib.Repr()
_REPR.maxstring = _REPR.maxother = 80
_REPR.maxlevel = 2


def report(main: Callable[..., None], *arguments: str) -> None:
    """Call ``main``; an expected error ends the process with its message on stderr and exit status 1, without a traceback.

    Expected are wrong parameters and data (ValueError, which pydantic's errors are too), files (OSError) and what torch
    raises (RuntimeError, SafetensorError). Other exceptions are defects and pass.
    """
    try:
        main(*arguments)
    except (ValueError, RuntimeError, OSError, SafetensorError) as error:
        sys.exit(error_message(error))


def error_message(error: Exception) -> str:
    """The message of an error. It starts with the full disk where that is the cause, which torch does not mention."""
    full = "No space left on device" in str(error) or shutil.disk_usage(".").free < FULL_DISK
    return f"the disk is full, free some space and run this again: {error}" if full else str(error)


def nearest(name: Any, names: Iterable[str]) -> str:
    """A question that ends a message and suggests the most similar of ``names``; empty if none is ``ALIKE``.

    >>> nearest("squish", ["own", "squash"]), nearest("360_syn", ["360_real", "360_train"])
    ('; did you mean squash?', '')
    """
    if not isinstance(name, str):
        return ""
    similarity = {other: SequenceMatcher(None, name[:100], other).ratio() for other in names}
    closest = max(similarity, key=similarity.get, default=None)  # the first of several that are equally similar
    return f"; did you mean {closest}?" if closest is not None and similarity[closest] >= ALIKE else ""


def shown(value: Any) -> str:
    """A value as YAML writes it, on one line; a long one is shortened in the middle.

    >>> shown(None), shown("a\\nb"), shown([1.5, True])
    ('null', "'a\\\\nb'", '[1.5, True]')
    """
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    try:
        return " ".join(_REPR.repr(value).split())
    except ValueError:  # Python refuses to write integers of thousands of digits
        return "a number that is too large"
