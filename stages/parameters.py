"""params.yaml, as the stages read it, and how a stage tells a fault."""

import sys
from collections.abc import Callable
from pathlib import Path

from ruamel.yaml import YAML

PARAMS = Path("params.yaml")


def read_params() -> dict:
    """All parameters of the profile in use; FileNotFoundError if not called from the repository root."""
    if not PARAMS.is_file():
        raise FileNotFoundError(f"{PARAMS} does not exist here: run this from the repository root")
    return YAML(typ="safe").load(PARAMS.read_text(encoding="utf-8"))


def tell(main: Callable[..., None], *arguments: str) -> None:
    """Call ``main``; a fault ends the process with its one sentence."""
    try:
        main(*arguments)
    except (ValueError, RuntimeError, OSError) as error:
        sys.exit(str(error))
