"""The check of an image set lists every problem and no other, and it finds visible seams."""

import shutil
from functools import partial
from pathlib import Path

import numpy as np
import open_clip
import pandas as pd
import pytest
import torch
from PIL import Image
from torch import Tensor
from torchvision.transforms.functional import resize

from clip360.cli import main
from clip360.data.checks import check_image_set
from clip360.data.image_set import ImageRecord, load_image_set, read_panorama, write_image_set
from clip360.figures.contact_sheet import contact_sheet
from clip360.geometry.panorama import circular_shift, mirror
from clip360.geometry.seam import NEIGHBOURS, VISIBLE_SEAM, seam

check = partial(check_image_set, tokenizer=open_clip.get_tokenizer("ViT-B-32"))


def waves(seed: int, height: int = 64) -> Tensor:
    """A smooth panorama without a seam."""
    rng = np.random.default_rng(seed)
    lon, lat = np.arange(2 * height) / height * np.pi, np.arange(height)[:, None] / height * np.pi
    colours = [np.sin(k * lon + rng.uniform(0, 6)) * np.sin(lat) * 90 + rng.uniform(100, 150) for k in (1, 2, 3)]
    return torch.from_numpy(np.stack(colours).astype(np.uint8))


def cut(panorama: Tensor) -> Tensor:
    """A panorama without a tenth of its width, the rest stretched."""
    height, width = panorama.shape[-2:]
    return resize(panorama[..., : width * 9 // 10], [height, width])


def write_waves(folder: Path, count: int = 12) -> Path:
    write_image_set(folder, (ImageRecord(f"{k:02d}.jpg", waves(k), f"wave {k}", "360 photo") for k in range(count)))
    return folder


def edit_table(folder: Path, edit) -> None:
    edit(pd.read_csv(folder / "captions.csv", dtype=str)).to_csv(folder / "captions.csv", index=False)


def damage(folder: Path) -> None:
    """Cause every problem at once."""
    images = folder / "images"
    Image.new("RGB", (64, 64)).save(images / "01.jpg")
    (images / "02.jpg").write_bytes((images / "02.jpg").read_bytes()[:300])
    (images / "03.jpg").unlink()
    shutil.copy(images / "04.jpg", images / "05.jpg")
    Image.fromarray(cut(waves(6)).permute(1, 2, 0).numpy()).save(images / "06.jpg", quality=95)
    Image.fromarray(waves(12).permute(1, 2, 0).numpy()).save(images / "$new$.png")

    def edit(table: pd.DataFrame) -> pd.DataFrame:
        table.loc[7, "caption"] = " "
        table.loc[8, "caption"] = "wave " * 68
        table.loc[9, "caption"] = "wave " * 67  # with the 8 tokens of the cue, all that a model reads
        return pd.concat([table, table.iloc[[10]]])

    edit_table(folder, edit)


EXPECTED = [
    ("$new$.png", "error", "has no row in captions.csv"),
    ("01.jpg", "error", "is 64 x 64"),
    ("02.jpg", "error", "cannot be read as an image"),
    ("03.jpg", "error", "is named in captions.csv, but there is no such JPEG"),
    ("07.jpg", "error", "has no caption in row 9 of captions.csv"),
    ("10.jpg", "error", "has 2 rows in captions.csv"),
    ("05.jpg", "warning", "shows the same pixels as 04.jpg"),
    ("06.jpg", "warning", "has a visible seam"),
    ("08.jpg", "warning", "has a text of 76 tokens"),
]


def test_the_check_lists_every_problem_at_once_and_none_for_a_clean_set(tmp_path):
    folder = write_waves(tmp_path / "set")
    assert check(folder).empty
    damage(folder)
    problems = check(folder)
    assert list(zip(problems.file, problems.severity, strict=True)) == [row[:2] for row in EXPECTED]
    for problem, (file, _, expected) in zip(problems.problem, EXPECTED, strict=True):
        assert problem.startswith(expected), file
    assert (problems.advice != "").all()


def test_a_set_without_errors_can_be_scored(tmp_path):
    """A set with warnings loads; a set with errors does not."""
    folder = write_waves(tmp_path / "set")
    damage(folder)
    errors = check(folder).query("severity == 'error'").file
    assert len(errors) == 6
    for file in errors:
        with pytest.raises(ValueError):
            list(load_image_set(folder).batches(4))
        (folder / "images" / file).unlink(missing_ok=True)
        edit_table(folder, lambda table, file=file: table[table.image != file])
    assert set(check(folder).severity) == {"warning"}
    assert sum(map(len, load_image_set(folder).batches(4))) == 7


@pytest.mark.parametrize("table", [None, b"", b"image\n00.jpg\n", b"image,caption\n", b"image,caption\n\xff,a\n"])
def test_a_broken_table_is_one_problem_and_the_images_are_still_checked(tmp_path, table):
    folder = write_waves(tmp_path / "set", 3)
    (folder / "images" / "01.jpg").write_bytes(b"no")
    (folder / "captions.csv").unlink()
    if table is not None:
        (folder / "captions.csv").write_bytes(table)
    assert check(folder).file.tolist() == ["captions.csv", "01.jpg"]


@pytest.mark.parametrize("name", ["world_outdoor", "world_indoor"])
def test_a_cut_panorama_has_a_seam_where_it_was_cut(name):
    whole = torch.stack([read_panorama(Path("data", name, "images", f"{name}_{k:03d}.jpg")) for k in range(8)])
    assert (seam(whole) < VISIBLE_SEAM).all()
    flawed = cut(whole)
    assert (seam(flawed) > VISIBLE_SEAM).all()
    assert (seam(circular_shift(flawed, 3 * NEIGHBOURS)) < VISIBLE_SEAM).all()  # the seam is elsewhere
    for changed in (mirror(flawed), flawed.flip(-2), 255 - flawed):
        assert torch.equal(seam(changed), seam(flawed))
    assert torch.equal(torch.stack([seam(panorama) for panorama in flawed]), seam(flawed))


def test_the_seam_of_noise_is_like_any_column_and_always_finite():
    noise = torch.randint(0, 256, (4, 3, 512, 1024), generator=torch.Generator().manual_seed(0), dtype=torch.uint8)
    assert seam(noise).mean().item() == pytest.approx(1, abs=0.3)
    assert seam(torch.full((3, 64, 128), 200, dtype=torch.uint8)) == 0
    for height in (1, 2, 3, 17):
        assert seam(noise[0, :, :height, : 2 * height]).isfinite()


def test_the_command_lists_the_problems_draws_the_set_and_fails_on_errors(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    clean, flawed = write_waves(tmp_path / "clean"), write_waves(tmp_path / "flawed")
    damage(flawed)
    assert main(["check", str(clean), "--sheet", "results/checks"]) == 0
    assert "errors 0, warnings 0" in capsys.readouterr().out
    assert main(["check", str(flawed), str(clean), "--sheet", "results/checks"]) == 1
    printed = capsys.readouterr().out
    assert all(f"{severity}: {file} {problem}" in printed for file, severity, problem in EXPECTED)
    shutil.copy(clean / "images" / "00.jpg", clean / "images" / "01.jpg")
    assert main(["check", str(clean), "--sheet", "results/checks"]) == 0, "equal images are a warning"
    for name in ("clean", "flawed"):
        with Image.open(f"results/checks/{name}.png") as sheet:
            assert sheet.width > 1000 and np.asarray(sheet).std() > 20


def test_the_contact_sheet_shows_flawed_images_first_and_the_others_evenly(tmp_path):
    folder = write_waves(tmp_path / "set")
    edit_table(folder, lambda table: table.replace("11.jpg", "../../secret.jpg"))
    (tmp_path / "secret.jpg").write_bytes((folder / "images" / "00.jpg").read_bytes())
    figure = contact_sheet(folder, check(folder), n_shown=5)
    titles = [axis.get_title(loc="left").split("\n")[0] for axis in figure.axes]
    assert titles == ["../../secret.jpg", "11.jpg", "00.jpg", "05.jpg", "10.jpg"]
    assert [text.get_text() for text in figure.axes[0].texts] == ["no image"], "it lies outside the set"
