"""Where scores are kept, and what a model made of texts."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import pandas as pd
import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor


def write_scores(parts: Sequence[pd.DataFrame], params: dict, kind: str, name: str) -> None:
    """Write tables of scores as one, results/PROFILE/scores/KIND/NAME.parquet."""
    path = Path("results", params["profile"], "scores", kind, f"{name}.parquet")
    path.parent.mkdir(parents=True, exist_ok=True)
    pd.concat(parts, ignore_index=True).to_parquet(path, index=False)


def write_texts(known: Mapping[str, Tensor], params: dict, name: str) -> None:
    """Write the embeddings [D] of texts by the model ``name``: results/PROFILE/texts/NAME.safetensors."""
    path = _texts(params, name)
    path.parent.mkdir(parents=True, exist_ok=True)
    embeddings = {"embeddings": torch.stack(list(known.values()))}
    save_file(embeddings, path, metadata={"texts": json.dumps(list(known))})


def read_texts(params: dict, name: str) -> dict[str, Tensor]:
    """The embeddings [D] of texts that ``write_texts`` kept of the model ``name``."""
    with safe_open(_texts(params, name), framework="pt") as file:
        texts, embeddings = json.loads(file.metadata()["texts"]), file.get_tensor("embeddings")
    return dict(zip(texts, embeddings, strict=True))


def _texts(params: dict, name: str) -> Path:
    return Path("results", params["profile"], "texts", f"{name}.safetensors")
