"""Fetching models: from files, from a filled cache without a network, and every way in which it fails."""

import hashlib
import json
import shutil
import subprocess
import sys
from pathlib import Path

import open_clip
import pytest
import torch
from PIL import Image
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import Whitespace
from transformers import PreTrainedTokenizerFast

from clip360.models.clip import (
    CONFIGURATION,
    PICKLED,
    WEIGHTS,
    load_clip,
    new_clip,
    read_configuration,
    save_weights,
    write_configuration,
)
from clip360.models.protocol import Protocol
from clip360.models.weights import SOURCE, Weights, fetch_clip
from clip360.scoring.embedding import truncated
from tests.small_clips import small_clip

COMMIT = "0123456789abcdef0123456789abcdef01234567"


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> Path:
    """The folder of a model."""
    folder = tmp_path_factory.mktemp("models") / "made"
    small_clip(folder)
    return folder


def same(a: Path, b: Path) -> bool:
    one, other = (load_clip(folder, device="cpu").network.state_dict() for folder in (a, b))
    return all(torch.equal(one[name], other[name]) for name in one)


def test_a_checkpoint_file_becomes_a_model_that_names_its_source(made, tmp_path):
    torch.save(load_clip(made, device="cpu").network.state_dict(), tmp_path / "weights.pt")
    for file, stored in ((made / WEIGHTS, WEIGHTS), (tmp_path / "weights.pt", PICKLED)):
        digest = hashlib.sha256(file.read_bytes()).hexdigest()
        weights = Weights(str(made / CONFIGURATION), str(file), sha256=digest)
        fetch_clip(tmp_path / "fetched", weights)
        assert (tmp_path / "fetched" / stored).is_file() and same(tmp_path / "fetched", made)
        source = json.loads((tmp_path / "fetched" / SOURCE).read_text())
        assert source["sha256"] == digest and source["pretrained"] == str(file)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["fetched", "weights.pt"]


def fill_cache(home: Path, repository: str, files: dict[str, Path]) -> None:
    """What the hub's library leaves after a download."""
    snapshot = home / "hub" / f"models--{repository.replace('/', '--')}" / "snapshots" / COMMIT
    snapshot.mkdir(parents=True)
    for name, file in files.items():
        shutil.copy(file, snapshot / name)
    (snapshot.parents[1] / "refs").mkdir()
    (snapshot.parents[1] / "refs" / "main").write_text(COMMIT)


def fetch(folder: Path, home: Path, **weights) -> subprocess.CompletedProcess:
    """Fetch in a process that has no network, with the hub's cache in ``home``."""
    code = f"import lib; from clip360.models.weights import *; fetch_clip({str(folder)!r}, Weights(**{weights!r}))"
    environment = {"HF_HOME": str(home), "HF_HUB_OFFLINE": "1", "PATH": "/usr/bin:/bin", "HOME": str(home)}
    return subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True)


def test_a_hub_model_comes_from_the_filled_cache_without_a_network(made, tmp_path):
    fill_cache(tmp_path, "us/small", {name: made / name for name in (CONFIGURATION, WEIGHTS)})
    done = fetch(tmp_path / "fetched", tmp_path, architecture="hf-hub:us/small", revision=COMMIT)
    assert done.returncode == 0, done.stderr
    assert same(tmp_path / "fetched", made)
    assert json.loads((tmp_path / "fetched" / SOURCE).read_text())["revision"] == COMMIT
    missing = fetch(tmp_path / "other", tmp_path, architecture="hf-hub:us/none", revision=COMMIT)
    told = missing.stderr.splitlines()[-1]
    assert "hf-hub:us/none at 0123" in told and "could not be fetched and is not in the cache" in told
    assert not (tmp_path / "other").exists()


def test_a_tag_without_network_and_cache_says_what_to_do(tmp_path):
    done = fetch(tmp_path / "x", tmp_path, architecture="ViT-B-32", pretrained="laion400m_e32")
    assert "ViT-B-32, laion400m_e32 could not be fetched" in done.stderr.splitlines()[-1]


def test_a_fetched_architecture_keeps_its_activation_and_its_transform():
    for name, quick in (("ViT-B-32", False), ("ViT-B-32-quickgelu", True)):
        assert bool(open_clip.get_model_config(name).get("quick_gelu")) == quick
    assert open_clip.pretrained.get_pretrained_cfg("ViT-B-32", "laion400m_e32")["quick_gelu"]  # the trap


def test_what_cannot_be_fetched_is_told_in_one_sentence(made, tmp_path):
    configuration = str(made / CONFIGURATION)
    (tmp_path / "bad.pt").write_bytes(b"not weights")
    other = small_clip(tmp_path / "wider", embed_dim=48)
    assert other.name == "wider"
    for weights, error, sentence in (
        (Weights("ViT-Z-9", "openai"), ValueError, "ViT-Z-9 is no architecture of open_clip"),
        (Weights("ViT-B-32", "laion9b"), FileNotFoundError, r"neither a checkpoint file nor one .*laion400m_e32"),
        (Weights("none.json", "x.pt"), FileNotFoundError, "none.json does not exist"),
        (Weights("hf-hub:us/small"), ValueError, "has no `revision`: pin the commit"),
        (Weights(configuration, str(tmp_path / "bad.pt")), ValueError, "do not fit"),
        (Weights(configuration, str(tmp_path / "wider" / WEIGHTS)), ValueError, "do not fit"),
        (Weights(configuration, str(made / WEIGHTS), sha256="0" * 64), ValueError, "SHA-256 .*: expected 000"),
    ):
        with pytest.raises(error, match=sentence) as told:
            fetch_clip(tmp_path / "fetched", weights)
        assert "\n" not in str(told.value)
    assert not (tmp_path / "fetched").exists()
    (tmp_path / "wider" / CONFIGURATION).write_text("{}")
    with pytest.raises(ValueError, match="is no configuration of open_clip"):
        read_configuration(tmp_path / "wider")


def test_a_model_with_its_own_transform_and_tokenizer_keeps_them(tmp_path):
    """As SigLIP has them: a tower of timm, pictures squashed, a tokenizer of the hub."""
    vocabulary = {word: k for k, word in enumerate(["<pad>", "<unk>", "a", "red", "cube"])}
    words = Tokenizer(WordLevel(vocabulary, unk_token="<unk>"))
    words.pre_tokenizer = Whitespace()
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=words, pad_token="<pad>", unk_token="<unk>")
    tokenizer.save_pretrained(tmp_path / "made")
    vision = {"image_size": 224, "timm_model_name": "vit_tiny_patch16_224", "timm_pool": "", "timm_proj": "linear"}
    text = {"context_length": 6, "vocab_size": 5, "layers": 1, "width": 32, "heads": 1}
    text |= {"hf_tokenizer_name": "us/made", "no_causal_mask": True, "pool_type": "last"}
    model = {"embed_dim": 32, "custom_text": True, "vision_cfg": vision, "text_cfg": text}
    write_configuration(tmp_path / "made", model, {"resize_mode": "squash", "mean": [0.5] * 3, "std": [0.5] * 3})
    clip = new_clip(tmp_path / "made", seed=0, device="cpu")
    save_weights(clip, tmp_path / "made")
    fill_cache(tmp_path, "us/made", {file.name: file for file in (tmp_path / "made").iterdir()})
    done = fetch(tmp_path / "fetched", tmp_path, architecture="hf-hub:us/made", revision=COMMIT)
    assert done.returncode == 0, done.stderr
    fetched = load_clip(tmp_path / "fetched", device="cpu")
    assert fetched.view == "squash" and same(tmp_path / "fetched", tmp_path / "made")
    assert fetched.tokenize(["a red cube"]).tolist() == [[2, 3, 4, 0, 0, 0]]
    assert truncated(fetched, ["a red cube", "a red cube a red cube a"]) == ["a red cube a red cube a"]
    picture = Image.new("RGB", (64, 32), (255, 0, 0))
    assert torch.allclose(fetched.preprocess(picture)[:, 0, 0], torch.tensor([1.0, -1.0, -1.0]))
    with pytest.raises(ValueError, match="protocol.view `wide` needs a square ViT of open_clip"):
        load_clip(tmp_path / "fetched", protocol=Protocol(view="wide"), device="cpu")
