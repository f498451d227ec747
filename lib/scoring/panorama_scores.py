"""CLIP scores of your own panoramas, and how far they survive a turn of the camera.

    python -m clip360.scoring.panorama_scores IMAGES --captions captions.csv --model MODEL --out REPORT

IMAGES is a folder of panoramas (JPEG, PNG or WebP, twice as wide as high) or an image set; MODEL the folder of a model, a name that
open_clip knows (with --pretrained, a tag or a checkpoint), or hf-hub:ORGANISATION/NAME (with --revision). Writes REPORT/scores.csv
and REPORT/report.html. Stopped and started again, it goes on.
"""

import argparse
import hashlib
import json
import os
import sys
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path

import pandas as pd
import torch
from torch import Tensor

from clip360.data.image_set import ImageSet, load_image_set, printable
from clip360.finetune.methods import load_tuned
from clip360.geometry.seam import seam
from clip360.models.clip import Clip, load_clip
from clip360.models.protocol import CHOICES, DTYPES, VIEWS, Protocol
from clip360.models.weights import Weights, fetch_clip
from clip360.scoring.clip_score import clip_score
from clip360.scoring.embedding import embed_batches, embed_images, embed_texts, truncated
from clip360.scoring.report import write_report
from clip360.scoring.shifts import curve
from clip360.scoring.views import Shift

SCORES, REPORT = "scores.csv", "report.html"
CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache", "clip360")


def score_images(
    clip: Clip, pictures: ImageSet, *, shifts: int = 8, batch: int = 64, start: int = 0
) -> Iterator[pd.DataFrame]:
    """Scores of the pictures from row ``start`` on, a table for each batch, so that memory does not grow with the set.

    image, caption
    score         s of the picture as it is
    robust        mean of s over ``shifts`` equal steps of a whole turn, the picture itself among them
    spread        standard deviation of s over these steps
    worst, worst_yaw   the lowest s, and the yaw in degrees (to the right, -180 to 180) of the camera that sees it
    seam          how visible the seam is, see ``checks.seam``
    """
    if shifts < 2:
        raise ValueError(f"shifts is {shifts}: expected at least 2, the picture itself and one more")
    shares = [0.0, *curve(shifts)]
    seams: deque[Tensor] = deque()
    batches = _watched(pictures.batches(batch, start), seams)
    views = {share: Shift(share) for share in shares}
    table, texts = pictures.table[start:], pictures.texts[start:]
    done = 0
    for seen in embed_batches(clip, batches, views, total=len(table)):
        read = embed_texts(clip, texts[done : done + len(seen[0.0])])
        scores = torch.stack(
            [clip_score(seen[share], read, floor=clip.protocol.floor) for share in shares], dim=1
        ).double()
        rows = table[done : done + len(scores)]
        if not scores.isfinite().all():
            image = rows.image.iloc[int((~scores.isfinite()).any(1).nonzero()[0])]
            raise ValueError(
                f"model {clip.name}: the score of {printable(image)} is not a number: check the weights, or use float32"
            )
        worst = scores.argmin(1)
        columns = {
            "image": rows.image,
            "caption": rows.caption,
            "score": scores[:, 0],
            "robust": scores.mean(1),
            "spread": scores.std(1, correction=0),
            "worst": scores.min(1).values,
            "worst_yaw": [yaw(shares[k]) for k in worst],
            "seam": seams.popleft(),
        }
        done += len(scores)
        yield pd.DataFrame(columns)


def yaw(share: float) -> float:
    """The camera's turn to the right, in degrees, that a shift by a share of the width amounts to.

    >>> yaw(0.25), yaw(0.75)
    (-90.0, 90.0)
    """
    return 0.0 - 360 * share if share <= 0.5 else 360 * (1 - share)


def _watched(batches: Iterable[Tensor], seams: deque[Tensor]) -> Iterator[Tensor]:
    for pictures in batches:
        seams.append(seam(pictures))
        yield pictures


def score_folder(clip: Clip, pictures: ImageSet, out: str | Path, *, shifts: int = 8, batch: int = 64) -> pd.DataFrame:
    """Score an image set into ``out``/scores.csv and report.html; what an earlier, stopped call has scored is kept.

    Returns the table of scores, one row for each picture.
    """
    out = Path(out)
    out.mkdir(parents=True, exist_ok=True)
    partial = out / f"scores.{_fingerprint(clip, pictures, shifts)}.partial"
    start = _continue(partial)
    with partial.open("a", encoding="utf-8", newline="") as file:
        for rows in score_images(clip, pictures, shifts=shifts, batch=batch, start=start):
            rows.to_csv(file, index=False, header=start == 0, lineterminator="\n", float_format="%.6g")
            file.flush()
            start += len(rows)
            _record(partial, start)
    os.replace(partial, out / SCORES)
    _progress(partial).unlink()
    scores = pd.read_csv(out / SCORES, keep_default_na=False, dtype={"image": str, "caption": str})
    write_report(out / REPORT, scores, pictures, model=clip.name, view=clip.view, shifts=shifts)
    return scores


def _fingerprint(clip: Clip, pictures: ImageSet, shifts: int) -> str:
    """What the scores depend on, in short: a stopped run is continued only by the same one."""
    digest = hashlib.sha256(
        repr((clip.protocol, clip.view, shifts, pictures.texts, list(pictures.table.image))).encode()
    )
    for name, tensor in clip.network.state_dict().items():
        digest.update(f"{name} {tuple(tensor.shape)} {tensor.double().sum().item()!r}".encode())
    return digest.hexdigest()[:12]


def _progress(partial: Path) -> Path:
    return partial.with_suffix(".json")


def _record(partial: Path, rows: int) -> None:
    """Note how many rows, and bytes, are whole."""
    written = partial.with_suffix(".json.partial")
    written.write_text(json.dumps({"rows": rows, "bytes": partial.stat().st_size}))
    os.replace(written, _progress(partial))


def _continue(partial: Path) -> int:
    """How many pictures a stopped run has scored; what it was just writing is cut off."""
    if not (partial.is_file() and _progress(partial).is_file()):
        partial.unlink(missing_ok=True)
        return 0
    done = json.loads(_progress(partial).read_text())
    os.truncate(partial, done["bytes"])
    return done["rows"]


def open_model(
    model: str, *, pretrained: str | None = None, revision: str | None = None, adapter: str | None = None, **use
) -> Clip:
    """A model from its folder, or fetched by name into the user's cache; as fine-tuning left it, if a folder says so."""
    folder = Path(model)
    if not folder.is_dir():
        weights = Weights(model, pretrained, revision)
        name = "--".join(part.replace("/", "-") for part in (model, pretrained, revision) if part)
        folder = CACHE / name
        if not folder.is_dir():
            fetch_clip(folder, weights)
    clip = load_clip(folder, **use)
    return load_tuned(clip, adapter) if adapter else clip


def tensor_deviation(clip: Clip, pictures: ImageSet, *, count: int = 16) -> Tensor:
    """How far scores move by resizing on tensors instead of by PIL, in points, for the first pictures [count]."""
    first = pictures.head(count)
    read = embed_texts(clip, first.texts)
    scores = []
    for resize in ("pil", "tensor"):
        used = replace(clip, protocol=replace(clip.protocol, resize=resize))
        seen = embed_images(used, first.batches(count), {0.0: Shift(0.0)}, total=len(first.table))
        scores.append(clip_score(seen[0.0], read, floor=False))
    return (scores[0] - scores[1]).abs()


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m clip360.scoring.panorama_scores", description="CLIP scores of your own panoramas."
    )
    parser.add_argument("images", help="folder of panoramas, or an image set (images/ and captions.csv)")
    parser.add_argument("--captions", help="table with the columns image and caption (IMAGES/captions.csv)")
    parser.add_argument("--cue", help="put before every caption: This is a CUE of CAPTION (e.g. '360 panorama')")
    parser.add_argument(
        "--model", required=True, help="folder of a model, name of an open_clip architecture, hf-hub:..."
    )
    parser.add_argument("--pretrained", help="tag or checkpoint, for an architecture")
    parser.add_argument("--revision", help="commit, for a model of a hub")
    parser.add_argument(
        "--adapter", help="folder that fine-tuning left, with adapters in PEFT's format or other weights"
    )
    parser.add_argument("--out", default="report", help="folder of the report (%(default)s)")
    parser.add_argument("--shifts", type=int, default=8, help="steps of a whole turn (%(default)s)")
    parser.add_argument(
        "--view",
        choices=VIEWS,
        default="squash",
        help="what the model sees of a panorama; own: its own transform (%(default)s)",
    )
    parser.add_argument("--precision", choices=DTYPES, default="float32", help="(%(default)s)")
    parser.add_argument("--resize", choices=CHOICES["resize"], default="pil", help="tensor is faster (%(default)s)")
    parser.add_argument("--device", help="cpu, cuda, cuda:1 (a GPU if there is one)")
    parser.add_argument("--batch", type=int, default=64, help="pictures at a time (%(default)s)")
    given = parser.parse_args()
    try:
        pictures = load_image_set(given.images, given.captions)
        if given.cue:
            pictures = replace(pictures, table=pictures.table.assign(cue=given.cue))
        protocol = Protocol(view=given.view, precision=given.precision, resize=given.resize)
        source = {name: getattr(given, name) for name in ("pretrained", "revision", "adapter")}
        clip = open_model(given.model, **source, protocol=protocol, device=given.device)
        if cut := truncated(clip, pictures.texts):
            print(
                f"{clip.name} reads only the beginning of {len(cut)} texts, such as: {printable(cut[0])}",
                file=sys.stderr,
            )
        if given.resize == "tensor":
            moved = tensor_deviation(clip, pictures)
            told = f"by {moved.mean():.3f} points on average, {moved.max():.3f} at most, of the first {len(moved)} panoramas"
            print(f"resizing on tensors moves scores {told}", file=sys.stderr)
        scores = score_folder(clip, pictures, given.out, shifts=given.shifts, batch=given.batch)
    except (ValueError, RuntimeError, OSError) as error:
        sys.exit(str(error))
    except KeyboardInterrupt:
        sys.exit("stopped: call again to go on")
    print(
        f"{len(scores)} panoramas, mean score {scores.score.mean():.2f}, robust {scores.robust.mean():.2f}: {given.out}/{REPORT}"
    )


if __name__ == "__main__":
    main()
