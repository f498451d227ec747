"""What fine-tuned models hold: the log of their training, what it cost, and how much adapters change which modules."""

import json
from collections.abc import Iterable
from pathlib import Path

import pandas as pd
from safetensors.numpy import load_file

from clip360.finetune.files import CONFIGURATION, DESCRIPTION


def read_log(folder: Path) -> pd.DataFrame:
    """The steps of a fine-tuning run, as dvclive wrote them: columns loss, consistency, anchor, gradient_norm."""
    metrics = sorted((folder / "log" / "plots" / "metrics").glob("*.tsv"))
    if not metrics:
        raise FileNotFoundError(f"{folder} holds no training log: run the stage that fine-tunes it")
    return pd.concat([pd.read_csv(path, sep="\t", index_col="step") for path in metrics], axis=1)


def training_costs(folder: Path, runs: Iterable[str]) -> pd.DataFrame:
    """What every run trained and saw: columns trainable (parameters), seen (pictures with a gradient), looks (without)."""
    rows = {}
    for run in runs:
        facts = json.loads((folder / run / DESCRIPTION).read_text(encoding="utf-8"))
        passes = facts["passes"]
        rows[run] = {"trainable": facts["trainable"], "seen": passes["with gradient"], "looks": passes["without"]}
    return pd.DataFrame.from_dict(rows, orient="index", columns=["trainable", "seen", "looks"])


def update_sizes(folder: Path) -> pd.Series:
    """How far training moved each kind of module: the Frobenius norm of B · A, root of the sum of squares over layers.

    0 says that the adapters of this kind never learned anything. LoRA's scaling is left out.
    """
    if not (folder / CONFIGURATION).is_file():
        raise FileNotFoundError(f"{folder / CONFIGURATION} does not exist: expected an adapter in PEFT's format")
    weights = load_file(folder / "adapter_model.safetensors")
    squares: dict[str, float] = {}
    for name, a in weights.items():
        if ".lora_A." in name:
            module = name.split(".lora_A.")[0].rsplit(".", 1)[-1]
            update = weights[name.replace(".lora_A.", ".lora_B.")].astype(float) @ a
            squares[module] = squares.get(module, 0.0) + float((update**2).sum())
    return pd.Series(squares) ** 0.5
