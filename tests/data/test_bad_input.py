"""Damaged tables and pictures: read right, or refused in one printable sentence that names the file; never anything else."""

import csv
import io
import tempfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from PIL import Image

from clip360 import checks
from clip360.data.checks import check_image_set
from clip360.data.image_set import Fault, load_image_set, read_picture

pytestmark = pytest.mark.filterwarnings("ignore")  # of Pillow, on what it forgives
TABLE = b"image,caption\na.png,sea\nb.png,sun\n"
PIECES = [b"image", b"caption", b"cue", b"a.png", b"b.png", b",", b";", b"\t", b"\n", b"\r", b"\r\n", b'"', b'""', b" "]
PIECES += [
    "é".encode(),
    "e\u0301".encode(),
    "\u2028".encode(),
    b"\xef\xbb\xbf",
    b"\0",
    b"\x1b[2J",
    b"\xff\xfe",
    b"\xed\xa0\x80",
]
PIECES += [b"../a.png", b"/etc/passwd", b"NA", TABLE, b"x" * 100_000]


def mutated(whole: bytes):
    """A file with some of its bytes replaced, a part cut out, or its end cut off."""
    place = st.integers(0, len(whole))
    other = st.sampled_from(PIECES) | st.binary(max_size=4)
    changed = st.tuples(place, st.integers(0, 8), other).map(lambda t: whole[: t[0]] + t[2] + whole[t[0] + t[1] :])
    return changed | place.map(lambda end: whole[:end])


ENCODED = [
    TABLE.decode().replace("sea", "Meer, Küste").encode(code) for code in ("utf-16", "utf-32", "cp1252", "utf-7")
]
FILES = mutated(TABLE) | st.binary(max_size=60) | st.sampled_from(ENCODED)
FILES |= st.lists(st.sampled_from(PIECES), max_size=12).map(b"".join)


@pytest.fixture(scope="module")
def folder() -> Path:
    """An image set of two pictures, whose table each example writes anew."""
    with tempfile.TemporaryDirectory() as place, pytest.MonkeyPatch.context() as patch:
        for name in ("a.png", "b.png"):
            Image.effect_noise((4, 2), ord(name[0])).save(Path(place, name))
        patch.setattr(checks, "tqdm", lambda steps, **_: steps)  # no progress
        yield Path(place)


class Words:
    """Counts words where a model counts tokens."""

    context_length = 77

    def encode(self, text: str) -> list[str]:
        return text.split()


def is_sentence(fault: Fault, file: Path) -> bool:
    text = str(fault)
    return text.startswith(str(file)) and text.isprintable() and len(text) < 1000 and ": " in text


@settings(max_examples=200, deadline=None)
@given(FILES)
def test_any_bytes_are_a_table_or_refused_in_a_sentence(folder, content):
    (folder / "captions.csv").write_bytes(content)
    problems = check_image_set(folder, tokenize=Words())
    assert all(text.isprintable() for text in problems.to_numpy().flat)
    try:
        table = load_image_set(folder).table
    except Fault as fault:
        assert is_sentence(fault, folder) and "error" in set(problems.severity)
    else:
        assert sorted(table.image) == ["a.png", "b.png"] and (table.caption.str.strip() != "").all()
        assert "error" not in set(problems.severity)
    try:
        assert set(load_image_set(folder, pairing="order").table.image) <= {"a.png", "b.png"}
    except Fault as fault:
        assert is_sentence(fault, folder)


TEXTS = st.text(st.characters(exclude_categories=["Cs"]), min_size=1).filter(str.strip)


@settings(deadline=None)
@given(st.tuples(TEXTS, TEXTS), st.booleans(), st.sampled_from([csv.QUOTE_ALL, csv.QUOTE_MINIMAL]))
def test_any_text_is_read_as_it_was_written(folder, captions, mark, quoting):
    """By another writer; of kinds of line breaks one is left, whose text stays in one row when it is written again."""
    file = io.StringIO(newline="")
    csv.writer(file, quoting=quoting, lineterminator="\r\n").writerows(
        [("image", "caption"), *zip(("b.png", "a.png"), captions, strict=True)]
    )
    (folder / "captions.csv").write_bytes(b"\xef\xbb\xbf" * mark + file.getvalue().encode())
    table = load_image_set(folder).table
    assert table.image.tolist() == ["b.png", "a.png"]
    assert table.caption.tolist() == [text.replace("\r\n", "\n").replace("\r", "\n") for text in captions]
    table.to_csv(folder / "captions.csv", index=False, lineterminator="\n")
    assert load_image_set(folder).table.equals(table)


@settings(deadline=None)
@given(TEXTS)
@example("/a.png")
def test_a_name_that_is_no_picture_of_the_folder_is_told(folder, name):
    file = io.StringIO(newline="")
    csv.writer(file, quoting=csv.QUOTE_ALL).writerows([("image", "caption"), ("a.png", "sea"), (name, "sun")])
    (folder / "captions.csv").write_bytes(file.getvalue().encode())
    with pytest.raises(Fault) as told:
        load_image_set(folder)
    assert is_sentence(told.value, folder)


PIXELS = np.random.default_rng(0).integers(0, 256, (4, 8, 4), dtype=np.uint8)
ON_ITS_SIDE = Image.Exif()
ON_ITS_SIDE[0x0112], ON_ITS_SIDE[0x010E] = 6, "a picture"


def encoded(mode: str, **options) -> bytes:
    file = io.BytesIO()
    deep = np.uint16(PIXELS[..., 0]) << 8
    picture = Image.fromarray(deep) if mode == "I;16" else Image.fromarray(PIXELS).convert(mode, colors=8)
    picture.save(file, **options)
    return file.getvalue()


PICTURES = {
    "jpeg": encoded("RGB", format="JPEG", exif=ON_ITS_SIDE),
    "jpeg, progressive": encoded("RGB", format="JPEG", progressive=True),
    "jpeg, for print": encoded("CMYK", format="JPEG"),
    "png": encoded("RGBA", format="PNG", exif=ON_ITS_SIDE),
    "png, palette": encoded("P", format="PNG", transparency=3),
    "png, 16 bit": encoded("I;16", format="PNG"),
    "webp": encoded("RGB", format="WEBP", exif=ON_ITS_SIDE),
    "webp, lossless": encoded("RGBA", format="WEBP", lossless=True),
}


def read(folder: Path, content: bytes) -> np.ndarray | None:
    """The colours of a picture file of those bytes, of whatever suffix; None if it is refused as it should be."""
    (folder / "x.JPG").write_bytes(content)
    try:
        picture = read_picture(folder / "x.JPG")
    except Fault as fault:
        assert is_sentence(fault, folder / "x.JPG")
        return None
    assert picture.mode == "RGB"
    return np.asarray(picture)


@pytest.mark.parametrize("kind", PICTURES)
def test_a_picture_cut_off_is_refused_or_shows_all_that_it_showed(tmp_path, kind):
    whole = read(tmp_path, PICTURES[kind])
    assert whole.shape == ((8, 4, 3) if b"a picture" in PICTURES[kind] else (4, 8, 3))
    parts = [read(tmp_path, PICTURES[kind][:end]) for end in range(len(PICTURES[kind]))]
    assert all(part is None or np.array_equal(part, whole) for part in parts)
    assert all(part is None for part in parts[:-24])  # what ends a PNG file adds nothing to the picture


@settings(max_examples=400, deadline=None)
@given(st.sampled_from(list(PICTURES.values())).flatmap(mutated) | st.binary(max_size=100))
def test_a_damaged_picture_is_read_or_refused_in_a_sentence(folder, content):
    read(folder, content)
    (folder / "x.JPG").unlink()


ENTRIES = st.tuples(
    st.integers(0, 65535), st.integers(0, 14), st.sampled_from([0, 1, 2, 5, 2**31]), st.binary(min_size=4, max_size=4)
)


@settings(deadline=None)
@given(st.lists(ENTRIES, max_size=6), st.binary(max_size=40))
def test_odd_exif_entries_do_not_hide_how_a_picture_is_turned(folder, entries, rest):
    """Cameras write entries that break the rules; a writer of EXIF data chokes on them, a reader need not."""
    table = [(0x0112, 3, 1, b"\6\0\0\0"), *(entry for entry in entries if entry[0] != 0x0112)]
    fields = b"".join(
        tag.to_bytes(2, "little") + kind.to_bytes(2, "little") + count.to_bytes(4, "little") + value
        for tag, kind, count, value in table
    )
    exif = b"Exif\0\0II*\0\x08\0\0\0" + len(table).to_bytes(2, "little") + fields + b"\0\0\0\0" + rest
    plain = encoded("RGB", format="JPEG", subsampling=0)
    segment = b"\xff\xe1" + (len(exif) + 2).to_bytes(2, "big") + exif
    turned = read(folder, plain[:2] + segment + plain[2:])
    (folder / "x.JPG").unlink()
    assert np.array_equal(turned, np.rot90(np.asarray(Image.open(io.BytesIO(plain))), 3))
