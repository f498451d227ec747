"""Image sets on disk: what is written is read back, and every fault is told in one sentence."""

import subprocess
from itertools import islice
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image
from ruamel.yaml import YAML

from lib.imageset import Picture, load_image_set, write_image_set
from stages.make_data import panoramas

PARAMS = YAML(typ="safe").load(Path("profiles/world.yaml").read_text(encoding="utf-8"))


def noise(height: int, seed: int) -> torch.Tensor:
    return torch.randint(
        0, 256, (3, height, 2 * height), generator=torch.Generator().manual_seed(seed), dtype=torch.uint8
    )


def write_noise(folder: Path, names=("b.jpg", "a b.jpg", "é.jpg", "c.jpg", "d.jpg")) -> Path:
    write_image_set(
        folder, (Picture(n, noise(8, k), f"NA {k}" if k else "null", "360 photo") for k, n in enumerate(names))
    )
    return folder


def test_batches_are_the_pictures_in_the_order_of_the_table(tmp_path):
    pictures = load_image_set(write_noise(tmp_path / "set"))
    assert pictures.name == "set"
    assert pictures.table.caption.tolist() == ["null", "NA 1", "NA 2", "NA 3", "NA 4"]
    for size in (1, 2, 5, 7):
        batches = list(pictures.batches(size))
        assert [len(batch) for batch in batches] == [min(size, 5 - k) for k in range(0, 5, size)]
        plain = [np.asarray(Image.open(tmp_path / "set" / "images" / name)) for name in pictures.table.image]
        assert np.array_equal(torch.cat(batches).permute(0, 2, 3, 1).numpy(), np.stack(plain))


def test_a_stopped_writer_leaves_the_old_set(tmp_path):
    folder = write_noise(tmp_path / "set")

    def breaks():
        yield Picture("new.jpg", noise(8, 0), "new", "photo")
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_image_set(folder, breaks())
    assert len(load_image_set(folder).table) == 5


def edit_table(folder: Path, edit) -> None:
    table = pd.read_csv(folder / "captions.csv", dtype=str, keep_default_na=False)
    edit(table).to_csv(folder / "captions.csv", index=False)


FAULTS = {
    "no table": (lambda f: (f / "captions.csv").unlink(), "captions.csv does not exist"),
    "no column": (lambda f: edit_table(f, lambda t: t.drop(columns="caption")), "expected image, caption"),
    "no rows": (lambda f: edit_table(f, lambda t: t.head(0)), "has no rows"),
    "empty caption": (lambda f: edit_table(f, lambda t: t.assign(caption=" ")), "row 2: caption is empty"),
    "one cue missing": (lambda f: edit_table(f, lambda t: t.assign(cue=["360"] * 4 + [""])), "row 6: cue is empty"),
    "row twice": (lambda f: edit_table(f, lambda t: t.iloc[[0, 1, 2, 3, 4, 1]]), "names a b.jpg twice"),
    "no image": (lambda f: (f / "images" / "c.jpg").unlink(), "names c.jpg, which is not in"),
    "no caption": (lambda f: edit_table(f, lambda t: t.head(4)), r"d.jpg has no caption"),
    "not text": (lambda f: (f / "captions.csv").write_bytes(b"image,caption\n\xff\xfe,x\n"), "no UTF-8 table"),
    "not a picture": (lambda f: (f / "images" / "c.jpg").write_bytes(b"no"), "c.jpg cannot be read as a picture"),
    "cut off": (
        lambda f: (f / "images" / "c.jpg").write_bytes((f / "images" / "c.jpg").read_bytes()[:300]),
        "c.jpg cannot be read as a picture",
    ),
    "square": (lambda f: Image.new("RGB", (8, 8)).save(f / "images" / "c.jpg"), "c.jpg is 8 x 8: expected"),
    "other size": (
        lambda f: Image.new("RGB", (8, 4)).save(f / "images" / "c.jpg"),
        "c.jpg is 8 x 4 but b.jpg is 16 x 8",
    ),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_is_told_in_one_sentence(tmp_path, fault):
    folder = write_noise(tmp_path / "set")
    damage, sentence = FAULTS[fault]
    damage(folder)
    with pytest.raises((ValueError, FileNotFoundError), match=sentence) as told:
        list(load_image_set(folder).batches(5))
    assert "\n" not in str(told.value)


@pytest.mark.parametrize("name", PARAMS["probe_sets"]["where"])
def test_the_embedded_sets_come_from_their_seed(tmp_path, name):
    """The first panoramas, rendered anew, give the stored bytes."""
    sets = dict(PARAMS["probe_sets"])
    where = sets.pop("where")[name]
    write_image_set(tmp_path / name, islice(panoramas(name, split="probe", where=where, **sets), 3))
    stored = load_image_set(Path("data", name))
    assert len(stored.table) == sets["count"] >= 256
    made = load_image_set(tmp_path / name)
    pd.testing.assert_frame_equal(made.table, stored.table.head(3))
    for image in made.table.image:
        assert (made.folder / "images" / image).read_bytes() == (stored.folder / "images" / image).read_bytes(), image


def test_the_embedded_sets_need_no_network():
    """What data.dvc points to is in the repository's own store."""
    out = YAML(typ="safe").load(Path("data.dvc").read_text(encoding="utf-8"))["outs"][0]
    store = Path(".dvc/embedded/files/md5")
    assert (store / out["md5"][:2] / out["md5"][2:]).is_file()
    tracked = subprocess.run(
        ["git", "ls-files", str(store)], capture_output=True, text=True, check=True
    ).stdout.splitlines()
    assert len(tracked) >= out["nfiles"]
