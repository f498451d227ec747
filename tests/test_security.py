"""What docs/security.md promises: files of others run no programs, and lead nowhere else."""

import json
import os
import pickle
import struct
import subprocess
import sys
import zlib
from pathlib import Path
from types import SimpleNamespace

import open_clip
import pandas as pd
import pytest
import torch
from PIL import EpsImagePlugin, Image

from clip360.data.checks import check_image_set
from clip360.data.image_set import load_image_set, read_image
from clip360.fetch import source, web
from clip360.fetch.attribution import COLUMNS
from clip360.fetch.image_sets import fetch_image_sets
from clip360.fetch.poly_haven import PolyHaven
from clip360.finetune.files import ADAPTER_CONFIG, METHOD_FILE, TRAINED_WEIGHTS
from clip360.finetune.loop import Checkpoint
from clip360.finetune.lora import attach_lora, save_adapter
from clip360.finetune.methods import load_finetuned
from clip360.models.clip import CONFIGURATION as ARCHITECTURE
from clip360.models.clip import PICKLED, WEIGHTS, load_clip
from clip360.models.weights import WeightSource, fetch_clip
from tests.small_clips import small_clip


class Program:
    """What runs a program when it is unpickled."""

    def __init__(self, trace: Path):
        self.trace = trace

    def __reduce__(self):
        return os.mkdir, (str(self.trace),)


KINDS = {
    "pickle": lambda thing, path: path.write_bytes(pickle.dumps(thing)),
    "torch": torch.save,
    "torch of old": lambda thing, path: torch.save(thing, path, _use_new_zipfile_serialization=False),
}


@pytest.fixture
def model(tmp_path) -> Path:
    """The folder of a model."""
    small_clip(tmp_path / "model")
    return tmp_path / "model"


@pytest.mark.parametrize("kind", KINDS)
def test_weights_that_would_run_a_program_are_refused(model, tmp_path, kind):
    trace, save = tmp_path / "trace", KINDS[kind]
    pickle.loads(pickle.dumps(Program(trace)))
    assert trace.is_dir(), "it is a program"
    trace.rmdir()

    weights = {"state_dict": {"logit_scale": torch.zeros(()), "visual.proj": Program(trace)}}
    save(weights, tmp_path / "weights.pt")
    given = WeightSource(str(model / ARCHITECTURE), str(tmp_path / "weights.pt"))
    plain, adapter = load_clip(model), tmp_path / "adapter"
    save_adapter(
        attach_lora(load_clip(model), targets="lora_as_released", rank=2, alpha=4, dropout=0.0, seed=0), adapter
    )
    (adapter / "adapter_model.safetensors").unlink()
    save(weights, adapter / "adapter_model.bin")
    objective, optimiser = (
        SimpleNamespace(reference={}, images_without_gradient=0),
        torch.optim.SGD(plain.network.parameters()),
    )
    checkpoint = Checkpoint(tmp_path, (), objective, plain, optimiser)
    save(weights, checkpoint.path)
    (model / WEIGHTS).unlink()
    save(weights, model / PICKLED)
    for load in (
        lambda: load_clip(model),
        lambda: fetch_clip(tmp_path / "fetched", given),
        lambda: load_finetuned(plain, adapter),
        checkpoint.load,
    ):
        with pytest.raises(ValueError, match="the file holds more than tensors, and a pickle can run programs") as told:
            load()
        assert str(told.value).isprintable() and "weights_only" not in str(told.value)
    assert not trace.exists() and not (tmp_path / "fetched").exists()


@pytest.mark.parametrize("content", [3, [1, 2], {}, {"state_dict": None}, {"logit_scale": "1"}, torch.zeros(2)])
def test_weights_of_another_form_are_refused(model, content):
    (model / WEIGHTS).unlink()
    torch.save(content, model / PICKLED)
    with pytest.raises(ValueError, match="the weights in .*model do not fit") as told:
        load_clip(model)
    assert str(told.value).isprintable()


TUNED = {
    "no json": (METHOD_FILE, b"{"),
    "no method": (METHOD_FILE, b'{"lora": {}}'),
    "a list": (METHOD_FILE, b"[]"),
    "no weights": (TRAINED_WEIGHTS, b"\0"),
    "no adapter": (ADAPTER_CONFIG, b"[]"),
    "another adapter": (ADAPTER_CONFIG, b'{"peft_type": "NONE", "target_modules": ["c_fc"]}'),
}


@pytest.mark.parametrize("fault", TUNED)
def test_a_tuned_model_of_another_form_is_refused(model, tmp_path, fault):
    file, content = TUNED[fault]
    folder = tmp_path / "tuned"
    folder.mkdir()
    (folder / METHOD_FILE).write_text(json.dumps({"method": "image_tower", "lora": {}}))
    (folder / "adapter_model.safetensors").write_bytes(b"\0")
    (folder / file).write_bytes(content)
    with pytest.raises(ValueError, match="tuned does not fit the model model: .") as told:
        load_finetuned(load_clip(model), folder)
    assert str(told.value).isprintable()


def test_an_adapter_without_weights_is_not_looked_for_elsewhere(model, tmp_path, monkeypatch):
    """peft takes a folder without weights for a repository of a hub."""
    (tmp_path / ADAPTER_CONFIG).write_text('{"peft_type": "LORA", "target_modules": ["c_fc"]}')
    monkeypatch.setattr("socket.getaddrinfo", lambda *_, **__: pytest.fail("it asked the network"))
    with pytest.raises(FileNotFoundError, match="holds no weights"):
        load_finetuned(load_clip(model), tmp_path)


@pytest.fixture
def image_set(tmp_path) -> Path:
    """The folder of an image set with one image; another image lies outside it."""
    (tmp_path / "set").mkdir()
    for path in (tmp_path / "set" / "a.png", tmp_path / "secret.png"):
        Image.new("RGB", (8, 4)).save(path)
    return tmp_path / "set"


@pytest.mark.parametrize("name", ["../secret.png", "{}/secret.png", "./a.png", "sub/../a.png", "..", "a.png/."])
def test_a_name_refers_to_a_file_of_the_folder_and_nowhere_else(image_set, name):
    name = name.format(image_set.parent)
    (image_set / "sub").mkdir()
    pd.DataFrame({"image": [name], "caption": "sea"}).to_csv(image_set / "captions.csv", index=False)
    with pytest.raises(ValueError, match="is named in captions.csv, but there is no such"):
        load_image_set(image_set)
    assert set(check_image_set(image_set, tokenizer=open_clip.get_tokenizer("ViT-B-32")).severity) == {"error"}


def test_a_file_of_the_folder_may_be_a_link_to_an_image_and_to_nothing_else(image_set):
    """DVC creates such links. Messages about other files do not repeat their content."""
    (image_set / "a.png").unlink()
    (image_set / "a.png").symlink_to(image_set.parent / "secret.png")
    (image_set / "captions.csv").write_text("image,caption\na.png,sea\n")
    assert len(next(load_image_set(image_set).batches(1))) == 1
    (image_set.parent / "secret.png").write_text("a password")
    with pytest.raises(ValueError, match="a.png cannot be read as an image") as caught:
        list(load_image_set(image_set).batches(1))
    assert "password" not in str(caught.value)


def test_formats_that_are_read_by_other_programs_are_refused(tmp_path, monkeypatch):
    """PIL hands PostScript to Ghostscript, whatever the suffix."""
    monkeypatch.setattr(EpsImagePlugin, "Ghostscript", lambda *_: pytest.fail("it called a program"))
    Image.new("RGB", (8, 4)).save(tmp_path / "a.eps")
    (tmp_path / "a.eps").rename(tmp_path / "a.jpg")
    with pytest.raises(ValueError, match="a.jpg cannot be read as an image"):
        read_image(tmp_path / "a.jpg")


def png_header(width: int, height: int) -> bytes:
    """The beginning of a PNG file: a few bytes that declare so many pixels."""
    chunks = (b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)), (b"IDAT", zlib.compress(b"\0"))
    parts = [
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data)) for kind, data in chunks
    ]
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


def test_images_of_too_many_pixels_are_refused_before_they_are_decoded(tmp_path):
    (tmp_path / "vast.png").write_bytes(png_header(60_000, 30_000))
    with pytest.raises(ValueError, match=r"vast.png has too many pixels \(.*\): make it smaller"):
        read_image(tmp_path / "vast.png")


def test_a_large_panorama_is_read_without_a_warning(tmp_path):
    """A few bytes that declare 16384 x 8192 pixels are damaged, but not too large."""
    (tmp_path / "large.png").write_bytes(png_header(16_384, 8_192))
    code = (
        "import sys; from pathlib import Path; from clip360.data.image_set import read_image\n"
        "try: read_image(Path(sys.argv[1]))\nexcept ValueError as error: print(error)"
    )
    done = subprocess.run([sys.executable, "-c", code, tmp_path / "large.png"], capture_output=True, text=True)
    assert not done.stderr and "large.png cannot be read as an image (" in done.stdout


def fetch_from(folder: Path, asset: str, **file) -> list[str]:
    """Fetch from a source that offers one panorama; what was left out."""
    body = {"url": "http://localhost/a.jpg", "size": 3, "md5": "0" * 32} | file
    pages = {"/assets": {asset: {"name": "A"}}, f"/files/{asset}": {"tonemapped": body}}

    def get(url, read, **_):
        return read(json.dumps(pages[url]).encode() if url in pages else b"jpg")

    return fetch_image_sets(get, PolyHaven(get, ""), folder, {"set": 1}, seed=0, height=4).left_out


@pytest.mark.parametrize("asset", ["../up", "/up", "a/b", "..", "a\0", "", "a.b", "a\n", "C:up"])
def test_what_is_fetched_is_written_nowhere_else(tmp_path, asset):
    with pytest.raises(ValueError, match="expected assets with a plain id"):
        fetch_from(tmp_path / "sets", asset)
    assert not list(tmp_path.iterdir())


def test_what_is_fetched_is_a_panorama_from_the_web(tmp_path, monkeypatch):
    with pytest.raises(RuntimeError, match="cannot be fetched"):
        web.connect("tests", rate=10_000, backoff=0)(Path("/etc/hostname").as_uri(), len)
    assert "has no tone-mapped image with URL" in fetch_from(tmp_path, "up", url=3)[0]
    (tmp_path / "set").mkdir()
    Image.new("RGB", (8, 4)).save(tmp_path / "up.jpg")
    record = dict.fromkeys(COLUMNS, "") | {"id": "up", "image": "../up.jpg"}
    pd.DataFrame([record]).to_csv(tmp_path / "set/attribution.csv", index=False)
    with pytest.raises(ValueError, match="names the image '../up.jpg': expected a file name"):
        fetch_from(tmp_path, "up")
    monkeypatch.setattr(source, "MAX_HEIGHT", 3)
    with pytest.raises(ValueError, match="8 x 4, not twice as wide as high and 2 to 3 high"):
        source.scaled_down((tmp_path / "up.jpg").read_bytes(), 2)
