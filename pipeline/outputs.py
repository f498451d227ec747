"""Where the stages write measurements and text embeddings, and how: under a temporary name first, so that a killed stage leaves
no half file."""

import json
import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import pandas as pd
import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor

from pipeline.parameters import Parameters


@contextmanager
def written_at_once(path: Path) -> Iterator[Path]:
    """A temporary name beside ``path`` to write a file to; the file replaces ``path`` when the block ends without an error."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f"{path.name}.partial")
    try:
        yield partial
        os.replace(partial, path)
    finally:
        partial.unlink(missing_ok=True)


@contextmanager
def folder_written_at_once(folder: Path) -> Iterator[Path]:
    """A new folder beside ``folder`` to write files to; it replaces ``folder`` when the block ends without an error."""
    partial = folder.with_name(f"{folder.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    try:
        yield partial
        shutil.rmtree(folder, ignore_errors=True)
        partial.rename(folder)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def write_csv(table: pd.DataFrame, path: Path) -> None:
    """Write a table without its index, with the same line ends on every system."""
    with written_at_once(path) as partial:
        table.to_csv(partial, index=False, lineterminator="\n")


def write_parquet(table: pd.DataFrame, path: Path) -> None:
    """Write a table without its index in the format of measurements."""
    with written_at_once(path) as partial:
        table.to_parquet(partial, index=False)


def write_measurements(parts: Sequence[pd.DataFrame], params: Parameters, study: str, name: str) -> None:
    """Write measurements, one row for each observation, as one table: results/PROFILE/measurements/STUDY/NAME.parquet."""
    write_parquet(pd.concat(parts, ignore_index=True), params.results / "measurements" / study / f"{name}.parquet")


def write_text_embeddings(embeddings: Mapping[str, Tensor], params: Parameters, model: str) -> None:
    """Write the unit embeddings [D] of texts by ``model``: results/PROFILE/text_embeddings/MODEL.safetensors."""
    with written_at_once(_text_embeddings(params, model)) as partial:
        tensors = {"embeddings": torch.stack(list(embeddings.values()))}
        save_file(tensors, partial, metadata={"texts": json.dumps(list(embeddings))})


def read_text_embeddings(params: Parameters, model: str) -> dict[str, Tensor]:
    """The unit embeddings [D] of texts that ``write_text_embeddings`` wrote for ``model``.

    FileNotFoundError where the stage that writes them has not run.
    """
    path = _text_embeddings(params, model)
    if not path.is_file():
        raise FileNotFoundError(f"{path} does not exist: run `python -m pipeline.evaluate_model --frozen {model}`")
    with safe_open(path, framework="pt") as file:
        texts, embeddings = json.loads(file.metadata()["texts"]), file.get_tensor("embeddings")
    return dict(zip(texts, embeddings, strict=True))


def _text_embeddings(params: Parameters, model: str) -> Path:
    return params.results / "text_embeddings" / f"{model}.safetensors"
