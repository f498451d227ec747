"""Captioned panoramas in every form: the same panoramas whatever the form, and every problem one sentence."""

import io
import json
import sys
import tarfile
from importlib.util import find_spec
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image

from clip360.cli import main
from clip360.data.image_set import load_image_set
from clip360.data.images import DataError
from clip360.reports.image_sources import find_images, open_images, relative_location
from clip360.reports.panorama_sources import open_panoramas
from tests.small_clips import small_clip

CAPTIONS = {"a.png": 'the sea, "calm",\nat dawn', "b.jpg": "Straße", "c.webp": "a hall"}


def png(width: int = 64, height: int = 32, seed: int = 0, low: int = 0, high: int = 256) -> bytes:
    pixels = np.random.default_rng(seed).integers(low, high, (height, width, 3), dtype=np.uint8)
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    return file.getvalue()


def write_tar(path: Path, members: dict[str, bytes | tarfile.TarInfo]) -> Path:
    with tarfile.open(path, "w") as archive:
        for name, content in members.items():
            if isinstance(content, tarfile.TarInfo):
                archive.addfile(content)
                continue
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return path


def dataset_module(rows: list[dict]) -> SimpleNamespace:
    """What is used of the package datasets, for a dataset of these rows."""

    class Dataset:
        num_rows, column_names = len(rows), list(rows[0])

        def __init__(self, *files: Path):
            self.cache_files = [{"filename": str(file)} for file in files]

        def select_columns(self, columns):
            return self

        def cast_column(self, column, feature):
            assert (column, feature) == ("image", "encoded")
            return self

        def __getitem__(self, key):
            return rows[key] if isinstance(key, int) else [row[key] for row in rows]

    def load_dataset(name: str, revision: str | None) -> dict[str, Dataset]:
        splits = {("org/one", None): ["train"], ("org/two", "v1"): ["train", "test"]}
        return {split: Dataset() for split in splits[name, revision]}

    return SimpleNamespace(
        load_from_disk=lambda path: Dataset(*Path(path).iterdir()),
        load_dataset=load_dataset,
        Image=lambda decode: {False: "encoded"}[decode],
    )


@pytest.fixture
def forms(tmp_path, monkeypatch) -> dict[str, Path]:
    """The same three panoramas, of two sizes, in every form."""
    folder = tmp_path / "set"
    (folder / "images").mkdir(parents=True)
    for k, name in enumerate(CAPTIONS):
        Image.open(io.BytesIO(png(*((64, 32) if k < 2 else (96, 48)), seed=k))).save(folder / "images" / name)
    content = {name: (folder / "images" / name).read_bytes() for name in CAPTIONS}
    table = pd.DataFrame({"image": list(CAPTIONS), "caption": list(CAPTIONS.values())})
    table.to_csv(folder / "captions.csv", index=False)
    lines = [json.dumps({"image": f"set/images/{name}", "caption": text, "id": 3}) for name, text in CAPTIONS.items()]
    (tmp_path / "set.jsonl").write_text("\n".join(lines) + "\n\n")
    members = {}
    for k, (name, text) in enumerate(CAPTIONS.items()):
        key = Path(name).stem
        caption = {f"{key}.txt": f"{text}\n".encode()} if k else {f"{key}.json": json.dumps({"caption": text}).encode()}
        members |= caption | {name: content[name]} if k % 2 else {name: content[name]} | caption
    write_tar(tmp_path / "set.tar", {"._a.png": b"of macOS", "a.cls": b"3"} | members)
    (tmp_path / "shards").mkdir()
    halves = [dict(list(members.items())[:2]), dict(list(members.items())[2:])]
    for k, half in enumerate(halves):
        write_tar(tmp_path / "shards" / f"{k:03d}.tar", half)
    rows = [{"image": {"bytes": content[name], "path": name}, "caption": text} for name, text in CAPTIONS.items()]
    monkeypatch.setitem(sys.modules, "datasets", dataset_module(rows))
    (tmp_path / "saved").mkdir()
    (tmp_path / "saved" / "state.json").write_text("{}")
    names = ("set", "set.jsonl", "set.tar", "shards", "saved")
    return {name: tmp_path / name for name in names}


def test_every_form_gives_the_same_panoramas_and_captions(forms):
    expected = load_image_set(forms["set"])
    for form, path in forms.items():
        found = open_panoramas(path)
        assert found.texts == expected.texts == list(CAPTIONS.values()), form
        for size in (1, 2):
            batches, same = found.batches(size), expected.batches(size)
            assert all(torch.equal(a, b) for a, b in zip(batches, same, strict=True)), form
        assert torch.equal(found.read(found.table.image[2]), expected.read("c.webp"))


def test_datasets_of_the_hub_are_named_with_revision_and_split(forms):
    for name in ("hf-hub:org/one", "hf-hub:org/one:train", "hf-hub:org/two@v1:test"):
        assert open_panoramas(name).texts == list(CAPTIONS.values()) == open_images(name).texts
        assert find_images(relative_location(name, "reports/a"), "elsewhere") == Path(name)
    for name, message in {
        "hf-hub:one": "hf-hub:one names no dataset: expected hf-hub:ORGANISATION/NAME",
        "hf-hub:org/two@v1": "has the splits train, test: name one",
        "hf-hub:org/one:val": "has the splits train: name one",
        "hf-hub:org/none": "cannot be read as a dataset .*: check its name",
    }.items():
        with pytest.raises(DataError, match=message):
            open_panoramas(name)


@pytest.mark.skipif(find_spec("datasets") is None, reason="needs `pip install datasets`")
def test_the_library_reads_what_it_wrote(tmp_path, monkeypatch):
    import datasets

    monkeypatch.chdir(tmp_path)  # a folder org/set is taken for the dataset of the hub
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")
    images = {"image": [Image.open(io.BytesIO(png(seed=k))) for k in range(3)], "caption": ["a", "b", "c"]}
    features = datasets.Features({"image": datasets.Image(), "caption": datasets.Value("string")})
    rows = datasets.Dataset.from_dict(images, features=features)
    rows.save_to_disk("saved")
    rows.to_parquet("org/set/data/train-00000-of-00001.parquet")
    saved, of_hub = open_panoramas(tmp_path / "saved"), open_panoramas("hf-hub:org/set")
    assert saved.texts == of_hub.texts == ["a", "b", "c"]
    assert torch.equal(saved.read("000002"), of_hub.read("000002"))
    assert saved.state("000002")[0].endswith(".arrow")


def test_the_command_scores_every_form_alike(forms, tmp_path):
    small_clip(tmp_path / "model", seed=2)
    options = ["--model", tmp_path / "model", "--device", "cpu", "--shifts", 2, "--resamples", 10]
    scores = {}
    for form, path in forms.items():
        assert main([str(x) for x in ("score", path, *options, "--out", tmp_path / "out" / form)]) == 0
        scores[form] = pd.read_csv(tmp_path / "out" / form / "scores.csv").drop(columns="image")
        page = (tmp_path / "out" / form / "report.html").read_text(encoding="utf-8")
        assert page.count("data:image/jpeg;base64,") == 3
        pd.testing.assert_frame_equal(scores[form], scores["set"])


def test_a_form_notices_that_a_panorama_has_changed(forms):
    for form, file in (("set.jsonl", "set/images/a.png"), ("set.tar", "set.tar"), ("saved", "saved/state.json")):
        name, path = open_panoramas(forms[form]).table.image[0], forms["set"].parent / file
        before = open_panoramas(forms[form]).state(name)
        assert before == json.loads(json.dumps(before)) == open_panoramas(forms[form]).state(name)
        path.write_bytes(path.read_bytes())
        assert open_panoramas(forms[form]).state(name) != before, form


def link(name: str, target: str) -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.linkname = tarfile.SYMTYPE, target
    return info


TARS = {  # members, and the error
    "no caption": ({"a.png": png()}, "set.tar/a.png has no caption: add a.txt"),
    "no image": ({"a.txt": b"sea"}, "set.tar/a has a caption but no image"),
    "two images": ({"a.png": png(), "a.jpg": png(), "a.txt": b"sea"}, "set.tar/a.jpg has the key of a.png"),
    "blank": ({"a.png": png(), "a.txt": b" \n"}, "set.tar has no caption for a.png: expected text"),
    "some cues": (
        {"a.png": png(), "a.json": b'{"caption": "sea", "cue": "photo"}', "b.png": png(), "b.txt": b"land"},
        "has no cue for b.png",
    ),
    "no json": ({"a.png": png(), "a.json": b"sea"}, "set.tar/a.json has no JSON in it"),
    "no object": ({"a.png": png(), "a.json": b"[3]"}, "a.json has no JSON object in it"),
    "no text": ({"a.png": png(), "a.json": b'{"caption": 3}'}, "a.json has a caption in it that is no text"),
    "a lone surrogate": ({"a.png": png(), "a.json": b'{"caption": "\\ud800"}'}, "a caption in it that is no text"),
    "deep": ({"a.png": png(), "a.json": b"[" * 100_000}, "a.json has no JSON in it"),
    "latin-1": ({"a.png": png(), "a.txt": b"Stra\xdfe"}, "set.tar/a.txt is not UTF-8"),
    "vast caption": (
        {"a.png": png(), "a.txt": b"x" * (1 << 21)},
        "a.txt has 2097152 bytes: expected a caption of at most",
    ),
    "a link": ({"a.png": link("a.png", "/etc/passwd")}, "set.tar/a.png is not a regular file"),
    "nothing": ({"readme.md": b"hello"}, "set.tar holds no panoramas"),
    "square": ({"a.png": png(32, 32), "a.txt": b"sea"}, "set.tar/a.png is 32 x 32: expected an equirectangular"),
    "damaged": ({"a.png": png()[:90], "a.txt": b"sea"}, "set.tar/a.png cannot be read as an image"),
}
LINES = {
    "missing": ('{"image": "none.png", "caption": "sea"}', "none.png does not exist: expected a JPEG"),
    "outside": ('{"image": "../secret.png", "caption": "sea"}', "set.jsonl names ../secret.png: expected images in"),
    "absolute": ('{"image": "/secret.png", "caption": "sea"}', "set.jsonl names /secret.png: expected images in"),
    "no image": ('{"caption": "sea"}', "set.jsonl has no image in line 1"),
    "no caption": ('{"image": "a.png"}', "set.jsonl has no caption for a.png"),
    "twice": ('{"image": "a.png", "caption": "sea"}\n' * 2, "set.jsonl names a.png twice"),
    "no json": ('{"image": "a.png", "caption": "sea"}\nsea', "set.jsonl has no JSON in line 2"),
    "empty": ("\n", "set.jsonl holds no panoramas"),
    "a folder": ('{"image": "folder", "caption": "sea"}', "folder is not a regular file"),
}


@pytest.mark.parametrize("fault", TARS)
def test_a_fault_of_a_tar_file_is_one_sentence(tmp_path, fault):
    members, message = TARS[fault]
    with pytest.raises(DataError) as caught:
        list(open_panoramas(write_tar(tmp_path / "set.tar", members)).batches(2))
    assert message in str(caught.value) and str(caught.value).isprintable()


@pytest.mark.parametrize("fault", LINES)
def test_a_fault_of_json_lines_is_one_sentence(tmp_path, fault):
    text, message = LINES[fault]
    (tmp_path / "set" / "folder").mkdir(parents=True)
    for file in ("set/a.png", "secret.png"):
        (tmp_path / file).write_bytes(png())
    (tmp_path / "set" / "set.jsonl").write_text(text)
    with pytest.raises(DataError) as caught:
        list(open_panoramas(tmp_path / "set" / "set.jsonl").batches(2))
    assert message in str(caught.value) and str(caught.value).isprintable()


def test_no_member_of_a_tar_file_is_written_anywhere(tmp_path, monkeypatch):
    """Names that lead elsewhere are names: pixels come from the tar file."""
    inner = tmp_path / "a" / "b"
    inner.mkdir(parents=True)
    monkeypatch.chdir(inner)
    members = {"../../up.png": png(seed=1), "../../up.txt": b"sea", "/abs.png": png(seed=2), "/abs.txt": b"land"}
    write_tar(inner / "set.tar", members)
    before = sorted(tmp_path.rglob("*"))
    images = torch.cat(list(open_panoramas(inner / "set.tar").batches(2)))
    assert np.array_equal(images[0].permute(1, 2, 0), Image.open(io.BytesIO(members["../../up.png"])))
    assert sorted(tmp_path.rglob("*")) == before


def test_other_faults_of_files_and_datasets_are_one_sentence(forms, tmp_path, monkeypatch):
    content = forms["set.tar"].read_bytes()
    with tarfile.open(forms["set.tar"]) as archive:
        places = {info.name: (info.offset, info.offset_data) for info in archive}
    for name, size in (
        ("cut", places["b.txt"][0]),
        ("torn", places["b.txt"][0] + 100),
        ("half", places["b.jpg"][1] + 9),
    ):
        (tmp_path / f"{name}.tar").write_bytes(content[:size])
    (tmp_path / "text.tar").write_text("no tar file" * 100)
    with tarfile.open(tmp_path / "packed.tar", "w:gz") as archive:
        archive.add(forms["set"], "set")
    write_tar(tmp_path / "shards" / "002.tar", {"a.png": png(), "a.txt": b"sea"})
    (tmp_path / "splits").mkdir()
    (tmp_path / "splits" / "dataset_dict.json").write_text("{}")
    (tmp_path / "splits" / "train").mkdir()
    for name, message in (
        ("torn.tar", "torn.tar is no whole uncompressed tar file"),
        ("half.tar", "half.tar is no whole uncompressed tar file"),
        ("cut.tar", "cut.tar is no whole uncompressed tar file"),
        ("text.tar", "text.tar is no whole uncompressed tar file"),
        ("packed.tar", "packed.tar is no whole uncompressed tar file"),
        ("none.tar", "none.tar does not exist"),
        ("none.jsonl", "none.jsonl does not exist"),
        ("shards", "002.tar/a.png has the key of a.png"),
        ("splits", "splits holds several splits: name one of them: train"),
    ):
        with pytest.raises(DataError, match=message):
            open_panoramas(tmp_path / name)
    with pytest.raises(DataError, match="set.tar has its own captions: leave --captions out"):
        open_panoramas(forms["set.tar"], tmp_path / "texts.csv")
    image = {"bytes": png(), "path": None}
    for row, message in (
        ({"picture": image, "caption": "sea"}, "saved has the columns picture, caption: expected image, caption"),
        ({"image": image, "caption": None}, "saved has a caption that is no text"),
        ({"image": image, "caption": ""}, "saved has no caption for 000000"),
        ({"image": {"bytes": None, "path": "/etc/passwd"}, "caption": "sea"}, "000000 is not in the dataset"),
    ):
        monkeypatch.setitem(sys.modules, "datasets", dataset_module([row]))
        with pytest.raises(DataError, match=message):
            list(open_panoramas(forms["saved"]).batches(1))
    monkeypatch.setitem(sys.modules, "datasets", None)  # as where it is not installed
    with pytest.raises(DataError, match="saved is a Hugging Face dataset: pip install datasets to read it"):
        open_panoramas(forms["saved"])
