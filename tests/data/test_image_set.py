"""Image sets on disk: reading returns what was written, and every problem is one sentence."""

import struct
import subprocess
import sys
import zlib
from itertools import islice
from pathlib import Path
from unicodedata import normalize

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image
from ruamel.yaml import YAML

from clip360.data.image_set import ImageRecord, load_image_set, read_ahead, read_panorama, write_image_set
from clip360.data.images import STRIP_HEIGHT
from pipeline.render_embedded_data import render_panoramas

PARAMS = YAML(typ="safe").load(Path("profiles/world.yaml").read_text(encoding="utf-8"))


def noise(height: int, seed: int) -> torch.Tensor:
    return torch.randint(
        0, 256, (3, height, 2 * height), generator=torch.Generator().manual_seed(seed), dtype=torch.uint8
    )


def write_noise(folder: Path, names=("b.jpg", "a b.jpg", "é.jpg", "c.jpg", "d.jpg")) -> Path:
    write_image_set(
        folder, (ImageRecord(n, noise(8, k), f"NA {k}" if k else "null", "360 photo") for k, n in enumerate(names))
    )
    return folder


def test_batches_are_the_images_in_the_order_of_the_table(tmp_path):
    image_set = load_image_set(write_noise(tmp_path / "set"))
    assert image_set.name == "set"
    assert image_set.table.caption.tolist() == ["null", "NA 1", "NA 2", "NA 3", "NA 4"]
    for size in (1, 2, 5, 7):
        batches = list(image_set.batches(size))
        assert [len(batch) for batch in batches] == [min(size, 5 - k) for k in range(0, 5, size)]
        plain = [np.asarray(Image.open(tmp_path / "set" / "images" / name)) for name in image_set.table.image]
        assert np.array_equal(torch.cat(batches).permute(0, 2, 3, 1).numpy(), np.stack(plain))
    everything = torch.cat(list(image_set.batches(5)))
    for start in range(5):
        assert torch.equal(torch.cat(list(image_set.batches(2, start=start))), everything[start:])
    assert not list(image_set.batches(2, start=5))


def test_a_batch_ends_where_the_size_of_the_images_changes(tmp_path):
    heights = (8, 8, 8, 4, 8, 6, 6)
    write_image_set(tmp_path / "set", (ImageRecord(f"{k}.png", noise(h, k), "a", "b") for k, h in enumerate(heights)))
    batches = list(load_image_set(tmp_path / "set").batches(2))
    assert [(len(batch), batch.shape[2]) for batch in batches] == [(2, 8), (1, 8), (1, 4), (1, 8), (2, 6)]
    for k, panorama in enumerate(panorama for batch in batches for panorama in batch):
        assert torch.equal(panorama, read_panorama(tmp_path / "set" / "images" / f"{k}.png"))


def test_no_more_is_read_ahead_than_allowed():
    begun = []
    for done, item in enumerate(read_ahead(lambda k: begun.append(k) or k, range(40), 3)):
        assert item == done and len(begun) <= done + 4
    assert len(begun) == 40
    stopped = read_ahead(int, ["1", "x", *["2"] * 9], 2)
    with pytest.raises(ValueError, match="'x'"):
        list(stopped)


PIXELS = np.random.default_rng(0).integers(0, 256, (5, 10, 4), dtype=np.uint8)
COLOUR, GREY, ALPHA = PIXELS[..., :3], PIXELS[..., 0], PIXELS[..., 3:]
DEEP = np.random.default_rng(1).integers(0, 2**16, (5, 10, 3), dtype=np.uint16)


def on_black(colours: np.ndarray) -> np.ndarray:
    return np.round(colours * (ALPHA / 255)).astype(np.uint8)


def sixteen_bit_png() -> bytes:
    """DEEP in colour, which Pillow reads but does not write."""
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in DEEP)
    parts = (b"IHDR", struct.pack(">IIBBBBB", 10, 5, 16, 2, 0, 0, 0)), (b"IDAT", zlib.compress(rows)), (b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data)) for kind, data in parts
    )


def palette(**options):
    image = Image.fromarray(GREY % 4, mode="P")
    image.putpalette([10, 20, 30, 40, 50, 60, 70, 80, 90, 200, 210, 220])
    return lambda path: image.save(path, **options)


def turned(orientation: int, quarters: int):
    """Save an image rotated to the left by ``quarters``, with EXIF data that rotate it back."""
    exif = Image.Exif()
    exif[0x0112] = orientation
    return lambda path: Image.fromarray(np.rot90(COLOUR, quarters)).save(path, exif=exif)


def as_colour(grey: np.ndarray) -> np.ndarray:
    return np.repeat(grey[..., None], 3, axis=-1)


SWATCHES = np.array([[10, 20, 30], [40, 50, 60], [70, 80, 90], [200, 210, 220]], dtype=np.uint8)[GREY % 4]
FORMATS = {
    "colour.png": (lambda path: Image.fromarray(COLOUR).save(path), COLOUR),
    "COLOUR.WEBP": (lambda path: Image.fromarray(COLOUR).save(path, lossless=True), COLOUR),
    "grey.png": (lambda path: Image.fromarray(GREY).save(path), as_colour(GREY)),
    "bits.png": (lambda path: Image.fromarray(GREY > 127).save(path), as_colour((GREY > 127) * np.uint8(255))),
    "grey 16 bit.png": (lambda path: Image.fromarray(DEEP[..., 0]).save(path), as_colour(DEEP[..., 0] // 256)),
    "colour 16 bit.png": (lambda path: path.write_bytes(sixteen_bit_png()), DEEP // 256),
    "palette.png": (palette(), SWATCHES),
    "clear palette.png": (palette(transparency=2), SWATCHES * (GREY % 4 != 2)[..., None]),
    "alpha.png": (lambda path: Image.fromarray(PIXELS).save(path), on_black(COLOUR)),
    "alpha.webp": (lambda path: Image.fromarray(PIXELS).save(path, lossless=True, exact=True), on_black(COLOUR)),
    "grey alpha.png": (lambda path: Image.fromarray(PIXELS[..., 2:]).save(path), on_black(as_colour(PIXELS[..., 2]))),
    "upside down.png": (turned(3, 2), COLOUR),
    "on its side.png": (turned(6, 1), COLOUR),
    "on its other side.png": (turned(8, 3), COLOUR),
}


@pytest.mark.parametrize("name", FORMATS)
def test_every_kind_of_image_becomes_the_colours_a_viewer_shows(tmp_path, name):
    save, expected = FORMATS[name]
    save(tmp_path / name)
    panorama = read_panorama(tmp_path / name)
    assert panorama.dtype == torch.uint8
    # Rounding of a product may differ by one.
    assert np.abs(panorama.permute(1, 2, 0).numpy().astype(int) - expected).max() <= ("alpha" in name)


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads the peak memory from /proc")
@pytest.mark.parametrize("name", ["large.jpg", "large.png", "clear.png"])
def test_decoding_holds_the_pixels_hardly_more_than_twice(tmp_path, name):
    """PIL takes 4 bytes per pixel, the result 3: together 2.33 times the pixels, and 0.5 for everything else."""
    height = 2048
    Image.new("RGBA" if name == "clear.png" else "RGB", (2 * height, height), "teal").save(tmp_path / name)
    code = (
        "import re, sys; from pathlib import Path; from clip360.data.image_set import read_panorama\n"
        "memory = lambda: 1024 * int(re.search(r'VmHWM:\\s*(\\d+)', Path('/proc/self/status').read_text())[1])\n"
        "read_panorama(Path(sys.argv[1])); before = memory()\n"
        "panorama = read_panorama(Path(sys.argv[2])); print((memory() - before) / panorama.numel())"
    )
    Image.new("RGB", (64, 32)).save(tmp_path / "small.png")
    command = [sys.executable, "-c", code, tmp_path / "small.png", tmp_path / name]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert 1 < float(done.stdout) < 2.84


@pytest.mark.parametrize("height", [1, STRIP_HEIGHT - 1, STRIP_HEIGHT, STRIP_HEIGHT + 1, 2 * STRIP_HEIGHT + 3])
def test_strips_make_no_difference(tmp_path, height):
    pixels = np.random.default_rng(height).integers(0, 256, (height, 2 * height, 4), dtype=np.uint8)
    Image.fromarray(pixels).save(tmp_path / "a.png", compress_level=1)
    panorama = read_panorama(tmp_path / "a.png")
    whole = Image.alpha_composite(Image.new("RGBA", (2 * height, height), "black"), Image.fromarray(pixels))
    assert np.array_equal(panorama.permute(1, 2, 0), np.asarray(whole.convert("RGB")))
    assert panorama.permute(1, 2, 0).is_contiguous()


def test_cmyk_jpeg_files_are_read_in_their_colours(tmp_path):
    inks = Image.new("CMYK", (32, 16), (0, 255, 128, 0))
    inks.save(tmp_path / "print.jpg", quality=100)
    assert np.abs(read_panorama(tmp_path / "print.jpg")[:, 8, 16].numpy() - [255.0, 0, 127]).max() <= 3


def test_an_interrupted_writer_keeps_the_old_set(tmp_path):
    folder = write_noise(tmp_path / "set")

    def interrupted():
        yield ImageRecord("new.jpg", noise(8, 0), "new", "photo")
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_image_set(folder, interrupted())
    assert len(load_image_set(folder).table) == 5


def edit_table(folder: Path, edit) -> None:
    table = pd.read_csv(folder / "captions.csv", dtype=str, keep_default_na=False)
    edit(table).to_csv(folder / "captions.csv", index=False)


def test_names_match_in_either_unicode_form_and_stay_as_on_disk(tmp_path):
    written = [normalize(form, f"{stem} ü.jpg") for stem in "ab" for form in ("NFC", "NFD")]
    folder = write_noise(tmp_path / "set", [written[0], written[3]])
    edit_table(folder, lambda t: t.assign(image=[written[1], written[2]]))
    assert load_image_set(folder).table.image.tolist() == [written[0], written[3]]
    edit_table(folder, lambda t: t.assign(image=[written[0], written[1]]))
    with pytest.raises(ValueError, match="has 2 rows"):
        load_image_set(folder)
    both = load_image_set(write_noise(tmp_path / "both", written))
    assert both.table.image.tolist() == written


def test_sets_are_read_as_people_keep_them(tmp_path):
    """A table from Excel, in another folder than its images, next to hidden files of macOS."""
    folder = write_noise(tmp_path / "set")
    plain = load_image_set(folder)
    table = tmp_path / "texts.csv"
    table.write_bytes(b"\xef\xbb\xbf" + (folder / "captions.csv").read_bytes().replace(b"\n", b"\r\n"))
    (folder / "captions.csv").unlink()
    (folder / "images" / "._c.jpg").write_bytes(b"no image")
    for location in (folder, folder / "images"):
        image_set = load_image_set(location, table)
        pd.testing.assert_frame_equal(image_set.table, plain.table)
        assert torch.equal(torch.cat(list(image_set.batches(3))), torch.cat(list(plain.batches(3))))


def test_an_image_of_too_many_pixels_is_refused(tmp_path, monkeypatch):
    folder = write_noise(tmp_path / "set")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 50)
    with pytest.raises(ValueError, match=r"b.jpg has too many pixels .*: make it smaller$"):
        list(load_image_set(folder).batches(5))


PROBLEMS = {
    "no table": (lambda f: (f / "captions.csv").unlink(), "captions.csv does not exist"),
    "no column": (lambda f: edit_table(f, lambda t: t.drop(columns="caption")), "expected image, caption"),
    "no rows": (lambda f: edit_table(f, lambda t: t.head(0)), "has no rows"),
    "empty caption": (lambda f: edit_table(f, lambda t: t.assign(caption=" ")), "b.jpg has no caption in row 2"),
    "one cue missing": (
        lambda f: edit_table(f, lambda t: t.assign(cue=["360"] * 4 + [""])),
        "d.jpg has no cue in row 6",
    ),
    "row twice": (lambda f: edit_table(f, lambda t: t.iloc[[0, 1, 2, 3, 4, 1]]), "a b.jpg has 2 rows"),
    "no image": (lambda f: (f / "images" / "c.jpg").unlink(), "c.jpg is named in captions.csv, but there is no such"),
    "no caption": (lambda f: edit_table(f, lambda t: t.head(4)), "d.jpg has no row in captions.csv"),
    "outside": (
        lambda f: (
            (f / "images" / "c.jpg").rename(f / "c.jpg") and edit_table(f, lambda t: t.replace("c.jpg", "../c.jpg"))
        ),
        r"\.\./c.jpg is named in captions.csv, but there is no such",
    ),
    "bare commas": (
        lambda f: (f / "captions.csv").write_text("image,caption\nb.jpg,sea, sun\nc.jpg,a, b\n"),
        "has 3 fields in row 2 but 2 columns",
    ),
    "a bare comma": (
        lambda f: (f / "captions.csv").write_text("image,caption\nb.jpg,sea\nc.jpg,a, b\n"),
        "has 3 fields in row 3 but 2 columns: put texts that contain commas in quotes",
    ),
    "not text": (lambda f: (f / "captions.csv").write_bytes(b"image,caption\n\xff\xfe,x\n"), "no UTF-8 table"),
    "not an image": (
        lambda f: (f / "images" / "c.jpg").write_bytes(b"no"),
        r"c.jpg cannot be read as an image \(cannot identify image file\):",
    ),
    "cut off": (
        lambda f: (f / "images" / "c.jpg").write_bytes((f / "images" / "c.jpg").read_bytes()[:300]),
        "c.jpg cannot be read as an image",
    ),
    "square": (lambda f: Image.new("RGB", (8, 8)).save(f / "images" / "c.jpg"), "c.jpg is 8 x 8: expected"),
}


@pytest.mark.parametrize("problem", PROBLEMS)
def test_a_problem_is_one_sentence(tmp_path, problem):
    folder = write_noise(tmp_path / "set")
    damage, sentence = PROBLEMS[problem]
    damage(folder)
    with pytest.raises((ValueError, FileNotFoundError), match=sentence) as caught:
        list(load_image_set(folder).batches(5))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", PARAMS["probe_sets"]["environment"])
def test_the_embedded_sets_come_from_their_seed(tmp_path, name):
    """The first panoramas, rendered again, have the stored bytes."""
    sets = dict(PARAMS["probe_sets"])
    environment = sets.pop("environment")[name]
    write_image_set(tmp_path / name, islice(render_panoramas(name, split="probe", environment=environment, **sets), 3))
    stored = load_image_set(Path("data", name))
    assert len(stored.table) == sets["n_images"] >= 256
    rendered = load_image_set(tmp_path / name)
    pd.testing.assert_frame_equal(rendered.table, stored.table.head(3))
    for image in rendered.table.image:
        assert (rendered.folder / "images" / image).read_bytes() == (stored.folder / "images" / image).read_bytes(), (
            image
        )


def test_the_embedded_sets_need_no_network():
    """The files of data.dvc are in the store of the repository."""
    out = YAML(typ="safe").load(Path("data.dvc").read_text(encoding="utf-8"))["outs"][0]
    store = Path(".dvc/embedded/files/md5")
    assert (store / out["md5"][:2] / out["md5"][2:]).is_file()
    tracked = subprocess.run(
        ["git", "ls-files", str(store)], capture_output=True, text=True, check=True
    ).stdout.splitlines()
    assert len(tracked) >= out["nfiles"]
