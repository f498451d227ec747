"""What fine-tuned adapters hold: the log of their training, and how much they change which modules."""

from pathlib import Path

import pandas as pd
from safetensors.torch import load_file

from lib.finetune.lora import CONFIGURATION


def read_log(folder: Path) -> pd.DataFrame:
    """The steps of a fine-tuning run, as dvclive wrote them: columns loss, consistency, anchor, gradient_norm."""
    metrics = sorted((folder / "log" / "plots" / "metrics").glob("*.tsv"))
    if not metrics:
        raise FileNotFoundError(f"{folder} holds no training log: run the stage that fine-tunes it")
    return pd.concat([pd.read_csv(path, sep="\t", index_col="step") for path in metrics], axis=1)


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
            update = weights[name.replace(".lora_A.", ".lora_B.")] @ a
            squares[module] = squares.get(module, 0.0) + update.double().square().sum().item()
    return pd.Series(squares) ** 0.5
