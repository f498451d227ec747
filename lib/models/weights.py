"""Fetching a model from open_clip's list, a hub or a checkpoint file into a folder that records where it comes from."""

import hashlib
import json
import os
import shutil
from dataclasses import asdict, dataclass, fields
from difflib import get_close_matches
from pathlib import Path

import open_clip
from huggingface_hub import snapshot_download
from open_clip.pretrained import download_pretrained, download_pretrained_from_hf, get_pretrained_cfg
from open_clip.transform import merge_preprocess_dict

from clip360.models.clip import PICKLED, WEIGHTS, Clip, brief, load_clip, write_configuration
from clip360.models.protocol import Protocol

SOURCE = "source.json"
HUB = "hf-hub:"
QUICK_GELU = "-quickgelu"  # ends the names of open_clip's architectures with this activation
HUB_FILES = ["open_clip_config.json", WEIGHTS, PICKLED, "*.json", "*.txt", "*.model"]
CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache", "clip360")


@dataclass(frozen=True)
class WeightSource:
    """Where a model comes from.

    architecture  a name that open_clip knows, the path of a configuration JSON, or ``hf-hub:ORGANISATION/NAME``
    pretrained    a tag that open_clip knows for the architecture, or the path of a checkpoint; None for a model of a hub
    revision      the commit (40 hexadecimal digits) of a hub's repository; a model of a hub needs one
    sha256        the expected SHA-256 of the weights, or None
    """

    architecture: str
    pretrained: str | None = None
    revision: str | None = None
    sha256: str | None = None


def open_model(
    model: str,
    *,
    pretrained: str | None = None,
    revision: str | None = None,
    protocol: Protocol | None = None,
    device: str | None = None,
) -> Clip:
    """The model in the folder ``model``, or the model that a ``WeightSource`` of these arguments describes.

    Raises as ``model_folder`` and ``load_clip`` do.
    """
    activation = protocol.activation if protocol else "own"
    folder = model_folder(model, pretrained=pretrained, revision=revision, activation=activation)
    return load_clip(folder, protocol=protocol, device=device)


def model_folder(
    model: str, *, pretrained: str | None = None, revision: str | None = None, activation: str = "own"
) -> Path:
    """The folder ``model``, or that of the model that a ``WeightSource`` of these arguments describes.

    The latter is fetched once, into the user's cache ($XDG_CACHE_HOME/clip360, by default ~/.cache/clip360). Raises as
    ``fetch_clip`` does, and ValueError for a tag whose weights were trained with another activation than the architecture's,
    where the right architecture is known.
    """
    folder = Path(model)
    if folder.is_dir():
        return folder
    source = WeightSource(model, pretrained, revision)
    mismatch = activation_mismatch(source, activation=activation)
    if mismatch and mismatch.architecture:
        raise ValueError(mismatch.sentence)
    name = "--".join(part.replace("/", "-") for part in (model, pretrained, revision) if part)
    folder = CACHE / name
    if not folder.is_dir():
        fetch_clip(folder, source)
    return folder


@dataclass(frozen=True)
class ActivationMismatch:
    """Weights that were trained with another activation than their architecture has, which scores pay for without an error.

    sentence      which, and what to do
    architecture  the architecture with the right activation; None where open_clip has none
    """

    sentence: str
    architecture: str | None


def activation_mismatch(source: WeightSource, *, activation: str = "own") -> ActivationMismatch | None:
    """Whether the weights of a published tag get another activation than they were trained with.

    None where they do not, and where nothing is known about the weights: a checkpoint file, a model of a hub. ``activation`` is
    that of the protocol.
    """
    if source.architecture not in open_clip.list_models() or not source.pretrained:
        return None
    tag = get_pretrained_cfg(source.architecture, source.pretrained)
    if not tag:
        return None
    own = open_clip.get_model_config(source.architecture).get("quick_gelu", False)
    computed = own if activation == "own" else activation == "quick_gelu"
    trained = tag.get("quick_gelu", False)
    if computed == trained:
        return None
    plain = source.architecture.removesuffix(QUICK_GELU)
    right = f"{plain}{QUICK_GELU}" if trained else plain
    known = right if right in open_clip.list_models() and right != source.architecture else None
    trained_name, computed_name = ("QuickGELU", "GELU") if trained else ("GELU", "QuickGELU")
    advice = f"use {known}" if known else "compare its scores with published ones"
    sentence = (
        f"{source.pretrained} was trained with {trained_name}, {source.architecture} computes {computed_name}: {advice}"
    )
    return ActivationMismatch(sentence, known)


def read_source(folder: str | Path) -> WeightSource | None:
    """Where the model in ``folder`` was fetched from; None where the folder does not say."""
    try:
        stored = json.loads(Path(folder, SOURCE).read_text(encoding="utf-8"))
        return WeightSource(**{field.name: stored.get(field.name) for field in fields(WeightSource)})
    except (OSError, ValueError, AttributeError):
        return None


def fetch_clip(folder: str | Path, source: WeightSource) -> None:
    """Write a model into ``folder``, complete or not at all: its configuration, weights, tokenizer and ``source.json``.

    Files that open_clip or the hub's library downloaded before come from their caches, also without a network. Raises
    ValueError or FileNotFoundError for a source that does not exist or does not fit, ConnectionError where a download
    fails.
    """
    folder = Path(folder)
    partial = folder.with_name(f"{folder.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    try:
        _fill(partial, source)
        shutil.rmtree(folder, ignore_errors=True)
        os.replace(partial, folder)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def _fill(partial: Path, source: WeightSource) -> None:
    if source.architecture.startswith(HUB):
        _fetch_from_hub(partial, source)
    else:
        _fetch_listed(partial, source)
    digest = _sha256(next(partial / name for name in (WEIGHTS, PICKLED) if (partial / name).is_file()))
    if source.sha256 not in (None, digest):
        raise ValueError(
            f"the weights of {source.architecture} have the SHA-256 {digest}: expected {source.sha256}; fetch them"
            " again, or correct `sha256`"
        )
    load_clip(partial, device="cpu")
    text = json.dumps(asdict(source) | {"sha256": digest}, indent=2)
    (partial / SOURCE).write_text(text + "\n", encoding="utf-8", newline="\n")


def _fetch_from_hub(folder: Path, source: WeightSource) -> None:
    repository = source.architecture.removeprefix(HUB)
    if not source.revision:
        raise ValueError(f"{source.architecture} has no `revision`: name the commit of the hub's repository")
    try:
        cached = Path(snapshot_download(repository, revision=source.revision, allow_patterns=HUB_FILES))
    except Exception as error:  # the libraries below raise errors of many kinds
        raise _unavailable(f"{source.architecture} at {source.revision}", error) from error
    if not any((cached / name).is_file() for name in (WEIGHTS, PICKLED)):
        raise FileNotFoundError(
            f"{source.architecture} has neither {WEIGHTS} nor {PICKLED}: choose a model of open_clip"
        )
    for file in cached.iterdir():
        if file.is_file() and not (file.name == PICKLED and (cached / WEIGHTS).is_file()):
            shutil.copy(file, folder / file.name)


def _fetch_listed(folder: Path, source: WeightSource) -> None:
    """A model by architecture and tag, or by architecture and checkpoint file."""
    model, preprocess = _read_architecture(source.architecture)
    tag = None
    if source.pretrained and not source.architecture.endswith(".json"):
        tag = get_pretrained_cfg(source.architecture, source.pretrained)
    if tag:
        preprocess = merge_preprocess_dict(preprocess, tag)
        file = _download(source, tag)
    else:
        file = _checkpoint(source)
    write_configuration(folder, model, preprocess)
    shutil.copy(file, folder / (WEIGHTS if file.suffix == ".safetensors" else PICKLED))
    if model["text_cfg"].get("hf_tokenizer_name"):
        try:
            open_clip.get_tokenizer(source.architecture).save_pretrained(folder)
        except Exception as error:  # the libraries below raise errors of many kinds
            raise _unavailable(f"the tokenizer of {source.architecture}", error) from error


def _read_architecture(name: str) -> tuple[dict, dict]:
    """Architecture and image transform, by a name that open_clip knows or from a JSON file, which may lack the transform."""
    path = Path(name)
    if path.suffix == ".json":
        return _read_architecture_file(path)
    architectures = open_clip.list_models()
    if name not in architectures:
        similar = get_close_matches(name, architectures, n=1)
        advice = f"; did you mean {similar[0]}?" if similar else ""
        raise ValueError(
            f"{name} is neither the folder of a model, nor an architecture of open_clip (open_clip.list_models()), a .json"
            f" file or {HUB}ORGANISATION/NAME: correct the model{advice}"
        )
    return open_clip.get_model_config(name), {}


def _read_architecture_file(path: Path) -> tuple[dict, dict]:
    if not path.is_file():
        raise FileNotFoundError(f"the model configuration {path} does not exist: correct `architecture`")
    try:
        stored = json.loads(path.read_text(encoding="utf-8"))
        model = stored.get("model_cfg", stored)
        if not {"embed_dim", "vision_cfg", "text_cfg"} <= model.keys():
            raise KeyError("expected embed_dim, vision_cfg and text_cfg")
        return model, stored.get("preprocess_cfg", {})
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"{path} is no configuration of open_clip ({brief(error)}): correct `architecture`") from error


def _checkpoint(source: WeightSource) -> Path:
    """The file that ``pretrained`` names; FileNotFoundError, with the tags that exist, if it is none."""
    if source.pretrained and Path(source.pretrained).is_file():
        return Path(source.pretrained)
    tags = ", ".join(open_clip.list_pretrained_tags_by_model(source.architecture)) or "none"
    if not source.pretrained:
        raise FileNotFoundError(
            f"{source.architecture} is an architecture without weights: set `pretrained` to a checkpoint file or a"
            f" published tag ({tags})"
        )
    raise FileNotFoundError(
        f"{source.pretrained} is neither a checkpoint file nor a published tag of {source.architecture} ({tags}):"
        " correct `pretrained`"
    )


def _download(source: WeightSource, tag: dict) -> Path:
    repository, _, file = tag.get("hf_hub", "").rpartition("/")
    try:
        if repository:
            return Path(download_pretrained_from_hf(repository, file or None, revision=source.revision))
        return Path(download_pretrained(tag))
    except Exception as error:  # the libraries below raise errors of many kinds
        raise _unavailable(f"{source.architecture}, {source.pretrained}", error) from error


def _unavailable(name: str, error: Exception) -> ConnectionError:
    return ConnectionError(
        f"{name} could not be fetched and is not in the cache ({brief(error)}): check the name and the network, or set"
        " `pretrained` to the path of a checkpoint"
    )


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
