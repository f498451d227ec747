"""Fetching a model: from open_clip's list, from a hub, or from a checkpoint file, into a folder that names its source."""

import hashlib
import json
import os
import shutil
from dataclasses import dataclass
from pathlib import Path

import open_clip
from huggingface_hub import snapshot_download
from open_clip.pretrained import download_pretrained, download_pretrained_from_hf, get_pretrained_cfg
from open_clip.transform import merge_preprocess_dict

from clip360.models.clip import PICKLED, WEIGHTS, brief, load_clip, write_configuration

SOURCE = "source.json"
HUB = "hf-hub:"
HUB_FILES = ["open_clip_config.json", WEIGHTS, PICKLED, "*.json", "*.txt", "*.model"]


@dataclass(frozen=True)
class Weights:
    """Where a model comes from.

    ``architecture`` is a name that open_clip knows, the path of a configuration JSON, or ``hf-hub:ORGANISATION/NAME``.
    ``pretrained`` is a tag that open_clip knows for it, or the path of a checkpoint; none for a hub's model, which needs a
    ``revision`` (40 hexadecimal digits) instead. ``sha256``, where given, is what the weights must have.
    """

    architecture: str
    pretrained: str | None = None
    revision: str | None = None
    sha256: str | None = None


def fetch_clip(folder: str | Path, weights: Weights) -> None:
    """Put a model into ``folder``, whole or not at all: its configuration, weights, tokenizer, and ``source.json``.

    What was downloaded before is taken from the caches of open_clip and of the hub, also without a network. Raises
    ValueError, FileNotFoundError or ConnectionError.
    """
    folder = Path(folder)
    partial = folder.with_name(f"{folder.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    try:
        _fill(partial, weights)
        shutil.rmtree(folder, ignore_errors=True)
        os.replace(partial, folder)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def _fill(partial: Path, weights: Weights) -> None:
    if weights.architecture.startswith(HUB):
        _fetch_hub(partial, weights)
    else:
        _fetch_listed(partial, weights)
    digest = _sha256(next(partial / name for name in (WEIGHTS, PICKLED) if (partial / name).is_file()))
    if weights.sha256 not in (None, digest):
        raise ValueError(
            f"the weights of {weights.architecture} have the SHA-256 {digest}: expected {weights.sha256}; fetch them"
            " again, or correct `sha256`"
        )
    load_clip(partial, device="cpu")
    source = {"architecture": weights.architecture, "pretrained": weights.pretrained, "revision": weights.revision}
    text = json.dumps(source | {"sha256": digest}, indent=2)
    (partial / SOURCE).write_text(text + "\n", encoding="utf-8", newline="\n")


def _fetch_hub(folder: Path, weights: Weights) -> None:
    repository = weights.architecture.removeprefix(HUB)
    if not weights.revision:
        raise ValueError(f"{weights.architecture} has no `revision`: pin the commit of the hub's repository")
    try:
        cached = Path(snapshot_download(repository, revision=weights.revision, allow_patterns=HUB_FILES))
    except Exception as error:  # of any of the libraries below
        raise _unreachable(f"{weights.architecture} at {weights.revision}", error) from error
    if not any((cached / name).is_file() for name in (WEIGHTS, PICKLED)):
        raise FileNotFoundError(
            f"{weights.architecture} has neither {WEIGHTS} nor {PICKLED}: choose an open_clip model"
        )
    for file in cached.iterdir():
        if file.is_file() and not (file.name == PICKLED and (cached / WEIGHTS).is_file()):
            shutil.copy(file, folder / file.name)


def _fetch_listed(folder: Path, weights: Weights) -> None:
    model, preprocess = _architecture(weights.architecture)
    tag = (
        None if weights.architecture.endswith(".json") else get_pretrained_cfg(weights.architecture, weights.pretrained)
    )
    if tag:
        preprocess = merge_preprocess_dict(preprocess, tag)
        file = _download(weights, tag)
    else:
        file = Path(weights.pretrained or "")
    if not file.is_file():
        tags = open_clip.list_pretrained_tags_by_model(weights.architecture)
        raise FileNotFoundError(
            f"{weights.pretrained} is neither a checkpoint file nor one of the weights of {weights.architecture}"
            f" ({', '.join(tags) or 'none are published'}): correct `pretrained`"
        )
    write_configuration(folder, model, preprocess)
    shutil.copy(file, folder / (WEIGHTS if file.suffix == ".safetensors" else PICKLED))
    if model["text_cfg"].get("hf_tokenizer_name"):
        try:
            open_clip.get_tokenizer(weights.architecture).save_pretrained(folder)
        except Exception as error:  # of any of the libraries below
            raise _unreachable(f"the tokenizer of {weights.architecture}", error) from error


def _architecture(name: str) -> tuple[dict, dict]:
    """Architecture and transform by a name that open_clip knows, or from a configuration JSON, with or without transform."""
    path = Path(name)
    if path.suffix == ".json":
        if not path.is_file():
            raise FileNotFoundError(f"the model configuration {path} does not exist: correct `architecture`")
        stored = json.loads(path.read_text(encoding="utf-8"))
        return stored.get("model_cfg", stored), stored.get("preprocess_cfg", {})
    if name not in open_clip.list_models():
        raise ValueError(
            f"{name} is no architecture of open_clip, no .json file and no {HUB}... : see open_clip.list_models()"
        )
    return open_clip.get_model_config(name), {}


def _download(weights: Weights, tag: dict) -> Path:
    repository, _, file = tag.get("hf_hub", "").rpartition("/")
    try:
        if repository:
            return Path(download_pretrained_from_hf(repository, file or None, revision=weights.revision))
        return Path(download_pretrained(tag))
    except Exception as error:  # of any of the libraries below
        raise _unreachable(f"{weights.architecture}, {weights.pretrained}", error) from error


def _unreachable(what: str, error: Exception) -> ConnectionError:
    return ConnectionError(
        f"{what} could not be fetched and is not in the cache ({brief(error)}): connect to the network once, or give"
        " the path of a checkpoint as `pretrained`"
    )


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
