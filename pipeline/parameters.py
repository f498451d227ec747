"""params.yaml, as the stages read it, and how a stage tells a fault."""

import shutil
import sys
from collections.abc import Callable
from pathlib import Path

from ruamel.yaml import YAML
from safetensors import SafetensorError

PARAMS = Path("params.yaml")
LEAST = 2**16  # bytes; a disk with less is full


def read_params() -> dict:
    """All parameters of the profile in use; FileNotFoundError if not called from the repository root."""
    if not PARAMS.is_file():
        raise FileNotFoundError(f"{PARAMS} does not exist here: run this from the repository root")
    return YAML(typ="safe").load(PARAMS.read_text(encoding="utf-8"))


def tell(main: Callable[..., None], *arguments: str) -> None:
    """Call ``main``; a fault ends the process with its one sentence."""
    try:
        main(*arguments)
    except (ValueError, RuntimeError, OSError, SafetensorError) as error:
        sys.exit(sentence(error))


def sentence(error: Exception) -> str:
    """What an error says; that the disk is full, which torch does not say, before it."""
    full = "No space left on device" in str(error) or shutil.disk_usage(".").free < LEAST
    return f"the disk is full, free some space and run this again: {error}" if full else str(error)
