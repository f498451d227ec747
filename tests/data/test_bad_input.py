"""Damaged tables and images: read correctly, or refused in one printable sentence that names the file; nothing else."""

import csv
import io
import os
import socket
import tempfile
import threading
from pathlib import Path

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from PIL import Image

from clip360.data import checks
from clip360.data.captions import is_blank
from clip360.data.checks import check_image_set
from clip360.data.image_set import DataError, load_image_set, read_image, read_panorama

pytestmark = pytest.mark.filterwarnings("ignore")  # of Pillow, about damage that it tolerates
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
    """A file with some bytes replaced, a part cut out, or its end cut off."""
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
    """An image set of two images, whose table each example replaces."""
    with tempfile.TemporaryDirectory() as path, pytest.MonkeyPatch.context() as patch:
        for name in ("a.png", "b.png"):
            Image.effect_noise((4, 2), ord(name[0])).save(Path(path, name))
        patch.setattr(checks, "tqdm", lambda steps, **_: steps)  # no progress
        yield Path(path)


class WordTokenizer:
    """One token per word."""

    context_length = 77

    def encode(self, text: str) -> list[str]:
        return text.split()


def is_sentence(error: DataError, file: Path) -> bool:
    text = str(error)
    return text.startswith(str(file)) and text.isprintable() and len(text) < 1000 and ": " in text


@settings(max_examples=200, deadline=None)
@given(FILES)
def test_any_bytes_are_a_table_or_refused_in_a_sentence(folder, content):
    (folder / "captions.csv").write_bytes(content)
    problems = check_image_set(folder, tokenizer=WordTokenizer())
    assert all(text.isprintable() for text in problems.to_numpy().flat)
    try:
        table = load_image_set(folder).table
    except DataError as error:
        assert is_sentence(error, folder) and "error" in set(problems.severity)
    else:
        assert sorted(table.image) == ["a.png", "b.png"] and not table.caption.map(is_blank).any()
        assert "error" not in set(problems.severity)
    try:
        assert set(load_image_set(folder, pairing="order").table.image) <= {"a.png", "b.png"}
    except DataError as error:
        assert is_sentence(error, folder)


TEXTS = st.text(st.characters(exclude_categories=["Cs"]), min_size=1).filter(lambda text: not is_blank(text))


@settings(deadline=None)
@given(st.tuples(TEXTS, TEXTS), st.booleans(), st.sampled_from([csv.QUOTE_ALL, csv.QUOTE_MINIMAL]))
def test_any_text_is_read_as_it_was_written(folder, captions, mark, quoting):
    """Tables of another writer. All line breaks become \\n, so that a text stays in one row when it is written again."""
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
def test_a_name_without_an_image_in_the_folder_is_an_error(folder, name):
    file = io.StringIO(newline="")
    csv.writer(file, quoting=csv.QUOTE_ALL).writerows([("image", "caption"), ("a.png", "sea"), (name, "sun")])
    (folder / "captions.csv").write_bytes(file.getvalue().encode())
    with pytest.raises(DataError) as caught:
        load_image_set(folder)
    assert is_sentence(caught.value, folder)


def finishes(function, *arguments, seconds: float = 20.0):
    """What a function returns, or the DataError that it raises; fails if it takes longer than ``seconds``."""
    results = []

    def run() -> None:
        try:
            results.append(function(*arguments))
        except DataError as error:
            results.append(error)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    thread.join(seconds)
    assert results, f"no answer within {seconds} seconds"
    return results[0]


def make_socket(path: Path) -> None:
    listener = socket.socket(socket.AF_UNIX)
    here = os.getcwd()
    os.chdir(path.parent)  # the whole path may be too long for a socket
    try:
        listener.bind(path.name)
    finally:
        os.chdir(here)


SPECIAL_FILES = {
    "named pipe": os.mkfifo,
    "socket": make_socket,
    "link to a device": lambda path: path.symlink_to("/dev/zero"),
    "folder": os.mkdir,
}


@pytest.mark.parametrize("kind", SPECIAL_FILES)
def test_a_special_file_among_the_images_is_refused_at_once(tmp_path, kind):
    (tmp_path / "captions.csv").write_bytes(TABLE)
    Image.new("RGB", (4, 2)).save(tmp_path / "a.png")
    SPECIAL_FILES[kind](tmp_path / "b.png")
    for read in (read_image, read_panorama):
        error = finishes(read, tmp_path / "b.png")
        assert is_sentence(error, tmp_path / "b.png") and "is not a regular file" in str(error)
    error = finishes(lambda: list(load_image_set(tmp_path).batches(2)))
    assert is_sentence(error, tmp_path / "b.png")
    problems = finishes(lambda: check_image_set(tmp_path, tokenizer=WordTokenizer()))
    assert problems.file.tolist() == ["b.png"] and problems.problem.tolist() == ["is not a regular file"]


@pytest.mark.parametrize("kind", SPECIAL_FILES)
def test_a_special_file_in_place_of_the_table_is_refused_at_once(tmp_path, kind):
    for name in ("a.png", "b.png"):
        Image.new("RGB", (4, 2)).save(tmp_path / name)
    SPECIAL_FILES[kind](tmp_path / "captions.csv")
    error = finishes(load_image_set, tmp_path)
    assert is_sentence(error, tmp_path / "captions.csv") and "is not a regular file" in str(error)
    (tmp_path / "captions.csv").rename(tmp_path / "moved")
    assert "does not exist" in str(finishes(load_image_set, tmp_path))


LONG_ROW = ",".join(["x"] * 300_000)


@pytest.mark.parametrize(
    ("table", "problem"),
    [
        (f"{LONG_ROW}\n", "has the columns x, x"),
        (f"image,caption,{LONG_ROW}\na.png,sea\n", "has the columns image, caption, x"),
        (f"image,caption\n{LONG_ROW}\n", "has 300000 fields in row 2 but 2 columns"),
        (f"image,caption\na.png,sea\n{LONG_ROW}\n", "has 300000 fields in row 3 but 2 columns"),
    ],
)
def test_a_row_of_very_many_fields_is_refused_at_once(tmp_path, table, problem):
    (tmp_path / "captions.csv").write_text(table)
    error = finishes(load_image_set, tmp_path)
    assert is_sentence(error, tmp_path / "captions.csv") and problem in str(error)


@pytest.mark.parametrize("text", ["", " ", "\u200b", "\u00a0\u2003", "\ufeff \u200d", "\u2028", "\x00\x07\n"])
@pytest.mark.parametrize("column", ["caption", "cue"])
def test_a_text_without_visible_characters_is_empty(folder, text, column):
    rows = {"caption": ["sea", "sun"], "cue": ["photo", "photo"]}
    rows[column][1] = text
    file = io.StringIO(newline="")
    rows = zip(("a.png", "b.png"), rows["caption"], rows["cue"], strict=True)
    csv.writer(file, quoting=csv.QUOTE_ALL).writerows([("image", "caption", "cue"), *rows])
    (folder / "captions.csv").write_bytes(file.getvalue().encode())
    with pytest.raises(DataError, match=f"b.png has no {column} in row 3 of captions.csv: expected text"):
        load_image_set(folder)
    problems = check_image_set(folder, tokenizer=WordTokenizer())
    assert problems.problem.tolist() == [f"has no {column} in row 3 of captions.csv"]


PIXELS = np.random.default_rng(0).integers(0, 256, (4, 8, 4), dtype=np.uint8)
ON_ITS_SIDE = Image.Exif()
ON_ITS_SIDE[0x0112], ON_ITS_SIDE[0x010E] = 6, "a title"


def encoded(mode: str, **options) -> bytes:
    file = io.BytesIO()
    deep = np.uint16(PIXELS[..., 0]) << 8
    image = Image.fromarray(deep) if mode == "I;16" else Image.fromarray(PIXELS).convert(mode, colors=8)
    image.save(file, **options)
    return file.getvalue()


ENCODED_IMAGES = {
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
    """The colours of an image file with these bytes; None if it is refused in one sentence."""
    (folder / "x.JPG").write_bytes(content)
    try:
        image = read_image(folder / "x.JPG")
    except DataError as error:
        assert is_sentence(error, folder / "x.JPG")
        return None
    assert image.mode == "RGB"
    return np.asarray(image)


@pytest.mark.parametrize("kind", ENCODED_IMAGES)
def test_a_truncated_image_is_refused_or_complete(tmp_path, kind):
    whole = read(tmp_path, ENCODED_IMAGES[kind])
    assert whole.shape == ((8, 4, 3) if b"a title" in ENCODED_IMAGES[kind] else (4, 8, 3))
    parts = [read(tmp_path, ENCODED_IMAGES[kind][:end]) for end in range(len(ENCODED_IMAGES[kind]))]
    assert all(part is None or np.array_equal(part, whole) for part in parts)
    assert all(part is None for part in parts[:-24])  # the end of a PNG file adds nothing to the image


@settings(max_examples=400, deadline=None)
@given(st.sampled_from(list(ENCODED_IMAGES.values())).flatmap(mutated) | st.binary(max_size=100))
def test_a_damaged_image_is_read_or_refused_in_a_sentence(folder, content):
    read(folder, content)
    (folder / "x.JPG").unlink()


ENTRIES = st.tuples(
    st.integers(0, 65535), st.integers(0, 14), st.sampled_from([0, 1, 2, 5, 2**31]), st.binary(min_size=4, max_size=4)
)


@settings(deadline=None)
@given(st.lists(ENTRIES, max_size=6), st.binary(max_size=40))
def test_odd_exif_entries_do_not_hide_the_orientation(folder, entries, rest):
    """Cameras write invalid entries, on which writing EXIF data again fails; reading the orientation does not."""
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
