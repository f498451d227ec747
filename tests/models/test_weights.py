"""Fetching models: from files, from a filled cache without a network, and the errors of every kind of source."""

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
from clip360.models.weights import SOURCE, WeightSource, activation_mismatch, fetch_clip
from clip360.scoring.embedding import truncated
from tests.small_clips import small_clip

COMMIT = "0123456789abcdef0123456789abcdef01234567"


@pytest.fixture(scope="module")
def model(tmp_path_factory) -> Path:
    """The folder of a model."""
    folder = tmp_path_factory.mktemp("models") / "model"
    small_clip(folder)
    return folder


def have_equal_weights(a: Path, b: Path) -> bool:
    weights_a, weights_b = (load_clip(folder, device="cpu").network.state_dict() for folder in (a, b))
    return all(torch.equal(weights_a[name], weights_b[name]) for name in weights_a)


def test_a_checkpoint_file_becomes_a_model_folder_with_its_source(model, tmp_path):
    torch.save(load_clip(model, device="cpu").network.state_dict(), tmp_path / "weights.pt")
    for file, stored in ((model / WEIGHTS, WEIGHTS), (tmp_path / "weights.pt", PICKLED)):
        digest = hashlib.sha256(file.read_bytes()).hexdigest()
        source = WeightSource(str(model / CONFIGURATION), str(file), sha256=digest)
        fetch_clip(tmp_path / "fetched", source)
        assert (tmp_path / "fetched" / stored).is_file() and have_equal_weights(tmp_path / "fetched", model)
        recorded = json.loads((tmp_path / "fetched" / SOURCE).read_text())
        assert recorded["sha256"] == digest and recorded["pretrained"] == str(file)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["fetched", "weights.pt"]


def fill_cache(home: Path, repository: str, files: dict[str, Path]) -> None:
    """Write the files that the hub's library leaves in its cache after a download."""
    snapshot = home / "hub" / f"models--{repository.replace('/', '--')}" / "snapshots" / COMMIT
    snapshot.mkdir(parents=True)
    for name, file in files.items():
        shutil.copy(file, snapshot / name)
    (snapshot.parents[1] / "refs").mkdir()
    (snapshot.parents[1] / "refs" / "main").write_text(COMMIT)


@pytest.fixture
def offline(tmp_path, monkeypatch) -> None:
    """No network, and the hub's cache in ``tmp_path``, as HF_HUB_OFFLINE and HF_HOME set them for a new process."""
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr("socket.getaddrinfo", lambda *_, **__: pytest.fail("it asked the network"))


def test_a_hub_model_comes_from_the_filled_cache_without_a_network(model, tmp_path):
    fill_cache(tmp_path, "us/small", {name: model / name for name in (CONFIGURATION, WEIGHTS)})
    source = WeightSource("hf-hub:us/small", revision=COMMIT)
    code = f"from clip360.models.weights import *; fetch_clip({str(tmp_path / 'fetched')!r}, {source!r})"
    environment = {"HF_HOME": str(tmp_path), "HF_HUB_OFFLINE": "1", "PATH": "/usr/bin:/bin", "HOME": str(tmp_path)}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert have_equal_weights(tmp_path / "fetched", model)
    assert json.loads((tmp_path / "fetched" / SOURCE).read_text())["revision"] == COMMIT


def test_what_is_neither_in_the_cache_nor_on_the_network_says_what_to_do(offline, tmp_path):
    for source, name in (
        (WeightSource("hf-hub:us/none", revision=COMMIT), "hf-hub:us/none at 0123"),
        (WeightSource("ViT-B-32", "laion400m_e32"), "ViT-B-32, laion400m_e32"),
    ):
        with pytest.raises(ConnectionError, match=f"{name}.* could not be fetched and is not in the cache"):
            fetch_clip(tmp_path / "x", source)
        assert not (tmp_path / "x").exists()


def test_a_fetched_architecture_keeps_its_activation_and_its_transform():
    for name, quick in (("ViT-B-32", False), ("ViT-B-32-quickgelu", True)):
        assert bool(open_clip.get_model_config(name).get("quick_gelu")) == quick
    assert open_clip.pretrained.get_pretrained_cfg("ViT-B-32", "laion400m_e32")[
        "quick_gelu"
    ]  # the tag says so, the architecture ViT-B-32 does not


def test_a_source_that_does_not_exist_or_does_not_fit_is_one_sentence(model, tmp_path):
    configuration = str(model / CONFIGURATION)
    (tmp_path / "bad.pt").write_bytes(b"not weights")
    other = small_clip(tmp_path / "wider", embed_dim=48)
    assert other.name == "wider"
    (tmp_path / "other.json").write_text('{"embed_dim": 32}')
    for source, error, message in (
        (
            WeightSource("ViT-Z-9", "openai"),
            ValueError,
            r"ViT-Z-9 is neither the folder of a model, .*open_clip\.list_models",
        ),
        (WeightSource("ViT-B-23", "openai"), ValueError, r"did you mean ViT-B-32\?"),
        (WeightSource("ViT-B-32"), FileNotFoundError, r"without weights: set `pretrained` .*laion400m_e32"),
        (
            WeightSource(str(tmp_path / "other.json"), "x.pt"),
            ValueError,
            "is no configuration of open_clip .*vision_cfg",
        ),
        (
            WeightSource("ViT-B-32", "laion9b"),
            FileNotFoundError,
            r"neither a checkpoint file nor a published tag .*laion400m_e32",
        ),
        (WeightSource("none.json", "x.pt"), FileNotFoundError, "none.json does not exist"),
        (WeightSource("hf-hub:us/small"), ValueError, "has no `revision`: name the commit"),
        (WeightSource(configuration, str(tmp_path / "bad.pt")), ValueError, "do not fit"),
        (WeightSource(configuration, str(tmp_path / "wider" / WEIGHTS)), ValueError, "do not fit"),
        (WeightSource(configuration, str(model / WEIGHTS), sha256="0" * 64), ValueError, "SHA-256 .*: expected 000"),
    ):
        with pytest.raises(error, match=message) as raised:
            fetch_clip(tmp_path / "fetched", source)
        assert "\n" not in str(raised.value)
    assert not (tmp_path / "fetched").exists()
    (tmp_path / "wider" / CONFIGURATION).write_text("{}")
    with pytest.raises(ValueError, match="is no configuration of open_clip"):
        read_configuration(tmp_path / "wider")


def test_a_model_with_its_own_transform_and_tokenizer_keeps_them(offline, tmp_path):
    """As those of SigLIP: a tower of timm, squashed images, a tokenizer of the hub."""
    vocabulary = {word: k for k, word in enumerate(["<pad>", "<unk>", "a", "red", "cube"])}
    words = Tokenizer(WordLevel(vocabulary, unk_token="<unk>"))
    words.pre_tokenizer = Whitespace()
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=words, pad_token="<pad>", unk_token="<unk>")
    tokenizer.save_pretrained(tmp_path / "squashing")
    vision = {"image_size": 224, "timm_model_name": "vit_tiny_patch16_224", "timm_pool": "", "timm_proj": "linear"}
    text = {"context_length": 6, "vocab_size": 5, "layers": 1, "width": 32, "heads": 1}
    text |= {"hf_tokenizer_name": "us/squashing", "no_causal_mask": True, "pool_type": "last"}
    model = {"embed_dim": 32, "custom_text": True, "vision_cfg": vision, "text_cfg": text}
    write_configuration(tmp_path / "squashing", model, {"resize_mode": "squash", "mean": [0.5] * 3, "std": [0.5] * 3})
    clip = new_clip(tmp_path / "squashing", seed=0, device="cpu")
    save_weights(clip, tmp_path / "squashing")
    fill_cache(tmp_path, "us/squashing", {file.name: file for file in (tmp_path / "squashing").iterdir()})
    fetch_clip(tmp_path / "fetched", WeightSource("hf-hub:us/squashing", revision=COMMIT))
    fetched = load_clip(tmp_path / "fetched", device="cpu")
    assert fetched.view == "squash" and have_equal_weights(tmp_path / "fetched", tmp_path / "squashing")
    assert fetched.tokenize(["a red cube"]).tolist() == [[2, 3, 4, 0, 0, 0]]
    assert truncated(fetched, ["a red cube", "a red cube a red cube a"]) == ["a red cube a red cube a"]
    image = Image.new("RGB", (64, 32), (255, 0, 0))
    assert torch.allclose(fetched.preprocess(image)[:, 0, 0], torch.tensor([1.0, -1.0, -1.0]))
    with pytest.raises(ValueError, match="protocol.view is wide, which needs a square ViT of open_clip"):
        load_clip(tmp_path / "fetched", protocol=Protocol(view="wide"), device="cpu")


@pytest.mark.parametrize(
    ("architecture", "pretrained", "activation", "right"),
    [
        ("ViT-B-32", "openai", "own", "ViT-B-32-quickgelu"),
        ("ViT-B-32", "openai", "quick_gelu", None),
        ("ViT-B-32-quickgelu", "openai", "own", None),
        ("ViT-L-14", "dfn2b", "own", "ViT-L-14-quickgelu"),
        ("ViT-B-32", "laion2b_s34b_b79k", "own", None),
        ("ViT-B-32", "laion2b_s34b_b79k", "quick_gelu", ""),
        ("ViT-B-32", "checkpoint.pt", "own", None),
        ("hf-hub:us/small", None, "own", None),
    ],
)
def test_an_activation_that_weights_were_not_trained_with_is_found(architecture, pretrained, activation, right):
    """``right`` is None where all is well, and empty where the architecture is right and only the protocol is wrong."""
    mismatch = activation_mismatch(WeightSource(architecture, pretrained), activation=activation)
    assert (mismatch is None) == (right is None)
    assert mismatch is None or (mismatch.architecture or "") == right


def test_every_tag_of_open_clip_has_an_architecture_with_its_activation_but_one():
    mismatches = {source: activation_mismatch(WeightSource(*source)) for source in open_clip.list_pretrained()}
    unknown = [source for source, mismatch in mismatches.items() if mismatch and not mismatch.architecture]
    assert [name for name, _ in unknown] == ["roberta-ViT-B-32"]
    right = {
        mismatch.architecture: tag for (_, tag), mismatch in mismatches.items() if mismatch and mismatch.architecture
    }
    assert len(right) > 10 and not any(activation_mismatch(WeightSource(*source)) for source in right.items())
