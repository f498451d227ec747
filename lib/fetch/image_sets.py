"""Disjoint image sets from one source of panoramas, drawn by a seed; a stopped or repeated call continues."""

import hashlib
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from itertools import islice
from pathlib import Path

from PIL import Image
from tqdm import tqdm

from clip360.data.images import DataError, printable
from clip360.fetch.attribution import ATTRIBUTION, read_attribution
from clip360.fetch.fetched_set import FetchedSet
from clip360.fetch.source import Panorama, Source, fetch_image

FORMAT_CUES = ("360 panorama", "360 photo", "360 image", "360-degree view")  # one for each panorama, drawn by the seed


@dataclass
class Fetched:
    """What a call did: by image set its size, how many panoramas are new, and names of images; and sentences on the source.

    ``edited`` are those whose row in captions.csv somebody changed, ``removed`` those that somebody removed, ``lost`` those that
    are missing and could not be fetched again. ``left_out`` has a sentence for each panorama that could not be used.
    """

    sizes: dict[str, int] = field(default_factory=dict)
    new: dict[str, int] = field(default_factory=dict)
    edited: dict[str, list[str]] = field(default_factory=dict)
    removed: dict[str, list[str]] = field(default_factory=dict)
    lost: dict[str, list[str]] = field(default_factory=dict)
    left_out: list[str] = field(default_factory=list)


def fetch_image_sets(
    get: Callable, source: Source, folder: Path, sizes: dict[str, int], *, seed: int, height: int
) -> Fetched:
    """Complete the image sets ``folder``/NAME to ``sizes[NAME]`` panoramas each, ``height`` pixels high.

    The seed puts all panoramas of the source into an order; the sets take them one after the other, in the order of ``sizes``,
    so that no panorama is in two sets. One that any image set in ``folder`` records already stays where it is. Where the source
    has too few, ``Fetched`` says how many there are. Asks for nothing where nothing is missing. Raises ValueError where a set
    holds more than its size, and RuntimeError as ``get`` does.
    """
    sets = {name: FetchedSet(folder / name) for name in sizes}
    for name, image_set in sets.items():
        _require_room(image_set, sizes[name])
        image_set.write_missing_captions()
    incomplete = {name: _incomplete(image_set, source, height) for name, image_set in sets.items()}
    before = {name: len(image_set.kept()) for name, image_set in sets.items()}
    fetched = Fetched()
    if any(incomplete.values()) or before != sizes:
        offer = source.ids()
        with tqdm(desc=source.name, total=sum(sizes.values()), initial=sum(before.values())) as progress:
            for name, rows in incomplete.items():
                fetched.lost[name] = _restore(get, sets[name], rows, source, height, fetched.left_out)
            unused = _draw_order(offer, source, folder, seed)
            panoramas = _with_images(get, source.describe(unused), height, fetched.left_out, _checksums(folder))
            for name, image_set in sets.items():
                for panorama, image in islice(panoramas, sizes[name] - before[name]):
                    cue = FORMAT_CUES[int(_hash(seed, "cue", panorama.id), 16) % len(FORMAT_CUES)]
                    image_set.add(panorama, image, source=source.name, cue=cue)
                    progress.update()
    for name, image_set in sets.items():
        fetched.sizes[name] = len(image_set.kept())
        fetched.new[name] = fetched.sizes[name] - before[name]
        fetched.edited[name], fetched.removed[name] = image_set.edited(), image_set.removed()
    return fetched


def require_set_name(name: str) -> None:
    """Raise ValueError unless ``name`` can be that of a folder: letters, digits, _, - and . alone."""
    if not re.fullmatch(r"\w[\w.-]{0,79}", name):
        raise ValueError(f"--sets: {name!r} is no name of an image set: expected letters, digits, _, - and .")


def _require_room(image_set: FetchedSet, size: int) -> None:
    if (held := len(image_set.kept())) > size:
        raise ValueError(
            f"{image_set.folder} holds {held} panoramas, more than the {size} of --sets: ask for {held}, or remove the images"
            " and the rows of captions.csv that you do not want"
        )


def _incomplete(image_set: FetchedSet, source: Source, height: int) -> list[dict[str, str]]:
    """The rows whose image has to be fetched again; DataError where another source has it."""
    rows = [image_set.rows[name] for name in image_set.incomplete(height)]
    for row in rows:
        if row["source"] != source.name:
            advice = f"fetch it from {row['source']}, or remove its row in captions.csv"
            raise DataError(image_set.images / row["image"], f"is missing, damaged or not {height} pixels high", advice)
    return rows


def _restore(
    get: Callable, image_set: FetchedSet, rows: list[dict[str, str]], source: Source, height: int, left_out: list[str]
) -> list[str]:
    """Fetch images of a set again, under the names that they have there; returns those that could not be fetched."""
    by_id = {row["id"]: row for row in rows}
    lost = [row["image"] for row in rows]
    for panorama, image in _with_images(get, source.describe(by_id), height, left_out, set()):
        row = by_id[panorama.id]
        image_set.add(replace(panorama, image=row["image"]), image, source=source.name, cue=row["fetched_cue"])
        lost.remove(row["image"])
    return lost


def _with_images(
    get: Callable, described: Iterable[Panorama | ValueError], height: int, left_out: list[str], checksums: set[str]
) -> Iterator[tuple[Panorama, Image.Image]]:
    """Panoramas with their images, but for those that are the same file as an earlier one or one of ``checksums``."""
    for panorama in described:
        try:
            if isinstance(panorama, ValueError):
                raise panorama
            if panorama.checksum in checksums:
                raise ValueError(f"{panorama.image} is left out: it is the same file as another panorama")
            image = fetch_image(get, panorama, height)
        except ValueError as error:
            left_out.append(printable(error))
            continue
        checksums.add(panorama.checksum)
        yield panorama, image


def _draw_order(offer: list[str], source: Source, folder: Path, seed: int) -> list[str]:
    """The ids that no image set in ``folder`` records, in an order that does not change when others are added."""
    taken = {row["id"] for row in _recorded(folder) if row["source"] == source.name}
    return sorted((id for id in offer if id not in taken), key=lambda id: _hash(seed, source.name, id))


def _checksums(folder: Path) -> set[str]:
    return {row["checksum"] for row in _recorded(folder)}


def _recorded(folder: Path) -> list[dict[str, str]]:
    """The rows of all attribution.csv in the image sets of a folder."""
    return [row for path in sorted(folder.glob(f"*/{ATTRIBUTION}")) for row in read_attribution(path.parent).values()]


def _hash(seed: int, *words: str) -> str:
    """A number in hexadecimal that depends on seed and words alone."""
    return hashlib.sha256("/".join([str(seed), *words]).encode()).hexdigest()
