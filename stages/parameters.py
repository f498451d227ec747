"""params.yaml, as the stages read it."""

from pathlib import Path

from ruamel.yaml import YAML

PARAMS = Path("params.yaml")


def read_params() -> dict:
    """All parameters of the profile in use; FileNotFoundError if not called from the repository root."""
    if not PARAMS.is_file():
        raise FileNotFoundError(f"{PARAMS} does not exist here: run this from the repository root")
    return YAML(typ="safe").load(PARAMS.read_text(encoding="utf-8"))
