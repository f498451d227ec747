"""What the folders of fine-tuned models record: how each was trained, its log, its cost, and the sizes of its updates."""

import json
from collections.abc import Iterable, Mapping
from pathlib import Path

import pandas as pd
from safetensors.numpy import load_file

from clip360.finetune.files import ADAPTER_CONFIG, ADAPTER_WEIGHTS, METHOD_FILE

COSTS = ("trainable_parameters", "images_with_gradient", "images_without_gradient")


def read_runs(folder: Path, names: Iterable[str]) -> dict[str, dict]:
    """How each of the runs ``names`` was trained, as ``method.json`` in folder/NAME says: a dictionary by run.

    Keys are model (the frozen one), method, lam, shift_range, lora, optimisation, trainable_parameters, images, and view
    for a run that names one. Raises FileNotFoundError for a run that was not trained, ValueError for a damaged file.
    """
    return {name: _read_run(Path(folder, name, METHOD_FILE)) for name in names}


def _read_run(path: Path) -> dict:
    if not path.is_file():
        raise FileNotFoundError(f"{path} does not exist: run the stage that fine-tunes {path.parent.name}")
    try:
        spec = json.loads(path.read_text(encoding="utf-8"))
        return {key: value for key, value in spec.items() if value is not None}
    except (ValueError, AttributeError) as error:
        raise ValueError(f"{path} is no JSON object: run the stage that fine-tunes {path.parent.name} again") from error


def read_log(folder: Path) -> pd.DataFrame:
    """The steps of a fine-tuning run, as dvclive wrote them to its folder: index step, a column for each number logged.

    The columns are loss, the loss terms of the run's objective (consistency and anchor for the paper's), gradient_norm.
    Raises FileNotFoundError where there is no log.
    """
    paths = sorted((folder / "log" / "plots" / "metrics").glob("*.tsv"))
    if not paths:
        raise FileNotFoundError(f"{folder} holds no training log: run the stage that fine-tunes {folder.name}")
    return pd.concat([pd.read_csv(path, sep="\t", index_col="step") for path in paths], axis=1)


def training_costs(runs: Mapping[str, Mapping]) -> pd.DataFrame:
    """What each of the ``runs``, as ``read_runs`` gives them, trained and how many images it saw: the integer columns ``COSTS``."""
    rows = {
        name: {
            "trainable_parameters": spec["trainable_parameters"],
            "images_with_gradient": spec["images"]["with_gradient"],
            "images_without_gradient": spec["images"]["without_gradient"],
        }
        for name, spec in runs.items()
    }
    return pd.DataFrame.from_dict(rows, orient="index", columns=list(COSTS))


def update_norms(folder: Path) -> pd.Series:
    """How much training changed each kind of adapted module: the Frobenius norm of the change of its weights, by module name.

    The change is α/r · B · A; layers are combined by the root of the sum of squares. 0 means that the adapters of this
    kind learned nothing. Raises FileNotFoundError where ``folder`` holds no adapter in PEFT's format.
    """
    if not (folder / ADAPTER_CONFIG).is_file():
        raise FileNotFoundError(f"{folder / ADAPTER_CONFIG} does not exist: expected an adapter in PEFT's format")
    config = json.loads((folder / ADAPTER_CONFIG).read_text(encoding="utf-8"))
    scaling = config["lora_alpha"] / config["r"]
    weights = load_file(folder / ADAPTER_WEIGHTS)
    squares: dict[str, float] = {}
    for name, a in weights.items():
        if ".lora_A." in name:
            module = name.split(".lora_A.")[0].rsplit(".", 1)[-1]
            update = scaling * weights[name.replace(".lora_A.", ".lora_B.")].astype(float) @ a
            squares[module] = squares.get(module, 0.0) + float((update**2).sum())
    return pd.Series(squares) ** 0.5


def distances(folder: Path, names: Iterable[str]) -> pd.DataFrame:
    """How each LoRA run was trained and how far its weights travelled: index run, columns lr, epochs, distance.

    ``distance`` is the Frobenius norm of the change of all weights.
    """
    rows = {}
    for name, spec in read_runs(folder, names).items():
        optimisation = spec["optimisation"]
        distance = float((update_norms(folder / name) ** 2).sum()) ** 0.5
        rows[name] = {"lr": optimisation["lr"], "epochs": optimisation["epochs"], "distance": distance}
    return pd.DataFrame.from_dict(rows, orient="index", columns=["lr", "epochs", "distance"])
