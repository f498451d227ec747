"""How often the seam measures detect faults that are implanted into panoramas, and how often they raise a false alarm.

python -m tools.benchmark.seams FOLDER...

FOLDER holds panoramas, or an image set with images/. By name, the 1st, 3rd, ... panorama of a folder are the development
half, on which thresholds were chosen; the others are held out. Each is cut open in several random directions. Prints, for
each half, the fraction above the threshold and the AUC against the intact panoramas.
"""

import argparse
import io
import math
import time
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor

from clip360.data.images import image_names, read_panorama
from clip360.geometry.panorama import equirectangular_directions
from clip360.geometry.poles import nearest_pixels
from clip360.geometry.seam_measures import MEASURES, VISIBLE

Fault = Callable[[Tensor], Tensor]  # uint8 [3, H, 2H] -> uint8 [3, H, 2H]


def to_bytes(image: Tensor) -> Tensor:
    return image.round().clamp(0, 255).byte()


def resized(image: Tensor, height: int, width: int) -> Tensor:
    return F.interpolate(image[None].float(), size=(height, width), mode="bilinear", antialias=True)[0]


def cut(panorama: Tensor, fraction: float) -> Tensor:
    """``fraction`` of the width cut off at the right, the rest stretched to the whole."""
    height, width = panorama.shape[-2:]
    return to_bytes(resized(panorama[..., : round(width * (1 - fraction))], height, width))


def drift(panorama: Tensor, amount: float) -> Tensor:
    """Brightness that rises by ``amount`` from the left edge to the right."""
    width = panorama.shape[-1]
    return to_bytes(panorama * (1 + amount * ((torch.arange(width) + 0.5) / width - 0.5)))


def blend(panorama: Tensor, n_columns: int) -> Tensor:
    """The ``n_columns`` around the seam replaced by moving averages over as many columns."""
    half = n_columns // 2
    strip = torch.cat([panorama[..., -n_columns:], panorama[..., :n_columns]], dim=-1).float()
    means = F.avg_pool1d(strip, n_columns, stride=1)  # [3, H, n + 1], between columns
    blurred = to_bytes((means[..., 1:] + means[..., :-1]) / 2)
    return torch.cat([blurred[..., half:], panorama[..., half:-half], blurred[..., :half]], dim=-1)


def crossfade(panorama: Tensor, fraction: float, n_columns: int) -> Tensor:
    """Cut as by ``cut``, but the last ``n_columns`` are faded into the content that follows on the other side."""
    height, width = panorama.shape[-2:]
    n_kept = round(width * (1 - fraction))
    weight = (torch.arange(n_columns) + 0.5) / n_columns
    faded = panorama[..., :n_columns] * weight + panorama[..., n_kept : n_kept + n_columns] * (1 - weight)
    whole = resized(torch.cat([faded, panorama[..., n_columns:n_kept].float()], dim=-1), height, width)
    return to_bytes(whole).roll(-n_columns // 2, dims=-1)


def jpeg(panorama: Tensor, quality: int = 70) -> Tensor:
    buffer = io.BytesIO()
    Image.fromarray(panorama.permute(1, 2, 0).numpy()).save(buffer, "JPEG", quality=quality)
    return torch.from_numpy(np.array(Image.open(buffer))).permute(2, 0, 1)


def flat_poles(panorama: Tensor) -> Tensor:
    """The eighth of the rows at either pole replaced by rows of the horizon, as in a flat picture."""
    height = panorama.shape[-2]
    n_rows, start = height // 8, height // 2 - height // 8
    middle = panorama[..., start : start + 2 * n_rows, :]
    return torch.cat([middle[..., :n_rows, :], panorama[..., n_rows:-n_rows, :], middle[..., n_rows:, :]], dim=-2)


def no_poles(panorama: Tensor, elevation: float) -> Tensor:
    """The part within ``elevation`` degrees of the horizon stretched to the whole height."""
    height, width = panorama.shape[-2:]
    margin = round(height * (0.5 - elevation / 180))
    return to_bytes(resized(panorama[..., margin : height - margin, :], height, width))


def _faces(height: int) -> tuple[Tensor, Tensor]:
    """Directions [H, 2H, 3] of the pixels and the face of the cube [H, 2H] each lies on."""
    directions = equirectangular_directions(height)
    axis = directions.abs().argmax(-1)
    return directions, 2 * axis + (directions.gather(-1, axis[..., None])[..., 0] < 0)


def cube_gains(panorama: Tensor, amount: float) -> Tensor:
    """Each face of the cube brighter or darker, by ``amount`` in standard deviation."""
    _, face = _faces(panorama.shape[-2])
    gains = torch.tensor([1.0, -1.3, 0.2, 1.3, -1.0, -0.2]) * amount + 1
    return to_bytes(panorama * gains[face])


def cube_zoom(panorama: Tensor, zoom: float) -> Tensor:
    """Each face of the cube enlarged: its field of view is too small, what lies at its edges is lost."""
    height = panorama.shape[-2]
    directions, face = _faces(height)
    axis = F.one_hot(face // 2, 3).bool()
    return panorama.flatten(-2)[..., nearest_pixels(torch.where(axis, directions, directions / zoom), height)]


def at_quality_70(fault: Fault) -> Fault:
    return lambda panorama: jpeg(fault(panorama))


FAULTS: dict[str, Fault] = {
    "intact": lambda panorama: panorama,
    "intact, JPEG quality 70": jpeg,
    "0.5 % of the width cut off": lambda panorama: cut(panorama, 0.005),
    "1 % cut off": lambda panorama: cut(panorama, 0.01),
    "3 % cut off": lambda panorama: cut(panorama, 0.03),
    "10 % cut off": lambda panorama: cut(panorama, 0.1),
    "brightness drifts by 3 %": lambda panorama: drift(panorama, 0.03),
    "brightness drifts by 10 %": lambda panorama: drift(panorama, 0.1),
    "half a turn stretched to a whole": lambda panorama: cut(panorama, 0.5),
    "10 % cut off, 8 columns blurred": lambda panorama: blend(cut(panorama, 0.1), 8),
    "10 % cut off, 16 columns blurred": lambda panorama: blend(cut(panorama, 0.1), 16),
    "10 % cut off, 32 columns blurred": lambda panorama: blend(cut(panorama, 0.1), 32),
    "3 % cut off, 8 columns blurred": lambda panorama: blend(cut(panorama, 0.03), 8),
    "3 % cut off, 16 columns blurred": lambda panorama: blend(cut(panorama, 0.03), 16),
    "3 % cut off, 32 columns blurred": lambda panorama: blend(cut(panorama, 0.03), 32),
    "10 % cut off, 16 blurred, JPEG quality 70": at_quality_70(lambda panorama: blend(cut(panorama, 0.1), 16)),
    "10 % cut off, 16 columns crossfaded": lambda panorama: crossfade(panorama, 0.1, 16),
    "poles show a flat picture": flat_poles,
    "only 60 degrees up and down": lambda panorama: no_poles(panorama, 60),
    "only 80 degrees up and down": lambda panorama: no_poles(panorama, 80),
    "cube faces differ by 3 %": lambda panorama: cube_gains(panorama, 0.03),
    "cube faces differ by 10 %": lambda panorama: cube_gains(panorama, 0.1),
    "cube faces enlarged by 5 %": lambda panorama: cube_zoom(panorama, 1.05),
}


def measure(panoramas: list[Tensor], n_directions: int, seed: int = 0) -> dict[str, dict[str, Tensor]]:
    """Values [n] of every measure for every fault: {measure: {fault: values}}."""
    rng = np.random.default_rng(seed)
    values: dict = defaultdict(lambda: defaultdict(list))
    for panorama in panoramas:
        for _ in range(n_directions):
            direction = 8 * int(rng.integers(panorama.shape[-1] // 8))  # whole JPEG blocks
            for fault, harm in FAULTS.items():
                harmed = harm(panorama.roll(direction, dims=-1))
                for name, function in MEASURES.items():
                    values[name][fault].append(function(harmed))
    return {name: {fault: torch.stack(row) for fault, row in rows.items()} for name, rows in values.items()}


def auc(intact: Tensor, harmed: Tensor) -> float:
    """The probability that a harmed panorama has the larger value, ties counted half."""
    difference = harmed[:, None] - intact
    return ((difference > 0).float() + (difference == 0).float() / 2).mean().item()


def table(values: dict[str, dict[str, Tensor]]) -> str:
    """Markdown: detection rate in percent / AUC, a row for each fault and a column for each measure."""
    lines = ["| fault | " + " | ".join(values) + " |", "|:--|" + "--:|" * len(values)]
    for fault in FAULTS:
        cells = []
        for name, rows in values.items():
            rate = (rows[fault] > VISIBLE[name]).float().mean().item()
            cells.append(f"{100 * rate:.0f} / {auc(rows['intact'], rows[fault]):.2f}")
        lines.append(f"| {fault} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folders", type=Path, nargs="+", metavar="FOLDER", help="panoramas, or an image set")
    parser.add_argument(
        "--directions", type=int, default=4, help="directions each is cut open in (default: %(default)s)"
    )
    parser.add_argument("--images", type=int, default=64, help="at most so many of each half (default: %(default)s)")
    options = parser.parse_args()
    for folder in options.folders:
        images = folder / "images" if (folder / "images").is_dir() else folder
        for half, names in (("development", image_names(images)[0::2]), ("held out", image_names(images)[1::2])):
            names = names[:: math.ceil(len(names) / options.images)]
            panoramas = [read_panorama(images / name) for name in names]
            values = measure(panoramas, options.directions)
            print(f"\n{folder.name}, {half}: {len(names)} panoramas in {options.directions} directions")
            print("detected in percent / AUC\n\n" + table(values))
            alarms = {name: torch.cat([rows[fault] for fault in list(FAULTS)[:2]]) for name, rows in values.items()}
            print("\nquantiles 95, 97.5, 99 % and the largest value of intact panoramas, both rows:")
            for name, intact in alarms.items():
                print(f"    {name:14}", [round(intact.quantile(q).item(), 2) for q in (0.95, 0.975, 0.99, 1)])
    panorama = panoramas[0]
    for name, function in MEASURES.items():
        start = time.perf_counter()
        for _ in range(5):
            function(panorama)
        print(f"{name}: {(time.perf_counter() - start) / 5 * 1000:.0f} ms, {tuple(panorama.shape[-2:])}")


if __name__ == "__main__":
    main()
