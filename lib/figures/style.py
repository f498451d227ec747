"""The style of all figures: sizes, colours, the words that stand for identifiers, and how figures are written.

One colour has one meaning in all figures:

- an image: panorama blue, perspective view orange, crop of an object amber;
- a frozen model: magenta, the darker the more panoramas it was trained on; models from elsewhere a qualitative palette;
- an image set: outdoors green, indoors brown, sets of both grey; other sets the same palette from its end;
- a part of the variance: content sand, position indigo;
- a view mode: centre crop black, squash crimson, letterbox slate, wide cyan, multi-view violet;
- λ: viridis; a loss or gain of a capability: purple to green.

Verdicts have no colour: a filled mark is decided, a hollow one is not. Methods have none either: their rows name them. Black is
what has no alternative in its figure. Colours of one meaning differ for colour-blind readers, and in grey print by lightness or marker.
"""

import re
from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib import colormaps, rc_context
from matplotlib.colors import to_hex
from matplotlib.figure import Figure

COLUMN, PAGE = 3.4, 7.0  # widths of figures, inches
SMALL = 6.5  # points, the smallest letters
MARKERS = "osD^vPX*h<>p"
BLACK, LINE, BAND = "0.15", "0.6", "0.88"  # marks without an alternative, reference lines, areas

# Blue, vermilion and amber: distinct for colour-blind readers (Wong, Nature Methods 8, 2011).
IMAGE_COLOURS = {"panorama": "#0072B2", "perspective": "#D55E00", "crop": "#E69F00"}
SET_COLOURS = {"world_outdoor": "#7A9E1F", "world_indoor": "#6B3F1D"}
SET_COLOURS |= dict.fromkeys(("finetune", "validation", "held_out"), "#8A8A8A")
IMAGE_MARKERS = {"panorama": "o", "perspective": "s", "crop": "^"}
PART_COLOURS = {"content": "#C9B458", "position": "#332288"}
VIEW_COLOURS = {
    "center_crop": "#222222",
    "squash": "#B2182B",
    "letterbox": "#5C7C8A",
    "wide": "#33B5E5",
    "multi_view": "#7A52C7",
}
VIEW_MARKERS = dict(zip(VIEW_COLOURS, MARKERS, strict=False))
# For names that the project does not know: the muted palette of Paul Tol (SRON/EPS/TN/09-002).
OTHERS = ("#CC6677", "#332288", "#DDCC77", "#117733", "#88CCEE", "#882255", "#44AA99", "#999933", "#AA4499")
LOSS_TO_GAIN = "PRGn"  # a colour map
MODEL = re.compile(r"clip_p(\d+)(?:_v(\d+))?(?:_r(\d+))?")  # panoramas, views, right cues, all in percent
PUBLISHED_MODEL = re.compile(
    r"(vit|siglip2)_(\w+?)_(\d+)(?:_([a-z0-9]+))?(_quickgelu)?"
)  # size, patch, weights, activation
WEIGHTS = {
    "laion400m": "LAION-400M",
    "laion2b": "LAION-2B",
    "openai": "OpenAI",
    "datacomp": "DataComp",
    "metaclip": "MetaCLIP",
    "dfn2b": "DFN-2B",
    "dfn5b": "DFN-5B",
    "siglip2": "SigLIP 2",
}
# Place in the colour map RdPu by the fraction of panoramas in training.
FRACTIONS, PLACES = (0.0, 0.03, 0.3, 1.0), (0.48, 0.68, 0.92, 1.0)

IMAGE_SETS = {"world_outdoor": "outdoors", "world_indoor": "indoors", "finetune": "fine-tuning set"}
VIEWS = {
    "center_crop": "centre crop",
    "multi_view": "multi-view",
    "perspective": "perspective view",
}
METHODS = {
    "lora_as_released": "LoRA as released",
    "lora_attention": "LoRA, attention",
    "single_pass": "frozen",
    "single_pass_canonical_yaw": "frozen, canonical yaw",
    "single_pass_even_columns": "frozen, even columns",
    "single_pass_row_means": "frozen, means of rows",
    "single_pass_anti_aliased": "frozen, anti-aliased patches",
    "single_pass_adaptive": "frozen, adaptive patches",
    "single_pass_adaptive_rows": "frozen, adaptive patches, rows",
    "distilled_anti_aliased": "distilled, anti-aliased patches",
    "distilled_adaptive": "distilled, adaptive patches",
    "distilled_periodic": "distilled, periodic positions",
    "omniview": "Omniview-Tuning",
    "mlp_head": "MLP head",
}

PUBLISHED = ("paper", "modern")  # profiles of published models, with whose names those of their runs begin
RUNS = {  # beginnings of the names of fine-tuning runs
    "released": "LoRA as released",
    "attention": "LoRA, attention",
    "attention_squash": "LoRA, attention, squashed view",
    "quarter": "LoRA, a quarter of the shifts",
}


def set_style() -> None:
    """One style for all figures; the same input gives the same bytes."""
    sns.set_theme(
        style="ticks",
        palette=[*IMAGE_COLOURS.values(), *OTHERS],
        rc={
            "font.size": 8,
            "axes.labelsize": 8,
            "axes.titlesize": 8,
            "xtick.labelsize": 7,
            "ytick.labelsize": 7,
            "legend.fontsize": 7,
            "axes.spines.top": False,
            "axes.spines.right": False,
            "axes.linewidth": 0.6,
            "xtick.major.size": 3,
            "ytick.major.size": 3,
            "xtick.major.width": 0.6,
            "ytick.major.width": 0.6,
            "legend.frameon": False,
            "hatch.linewidth": 0.4,
            "figure.constrained_layout.use": True,
            "figure.dpi": 110,
            "svg.hashsalt": "clip360",
        },
    )


def save_figure(figure: Figure, path: Path) -> None:
    """Write path.svg and path.png without dates or versions."""
    path.parent.mkdir(parents=True, exist_ok=True)
    # After its first file, matplotlib gives a figure whose panels were placed by hand the default layout.
    with rc_context({"figure.constrained_layout.use": False}):
        figure.savefig(path.with_suffix(".svg"), metadata={"Date": None, "Creator": None})
        figure.savefig(path.with_suffix(".png"), dpi=200, metadata={"Software": None})


def rounded(frame: pd.DataFrame, digits: int = 3) -> pd.DataFrame:
    """Numbers rounded for display, so that a rendered table does not depend on the last bits."""
    return frame.apply(lambda column: np.round(column, digits) if column.dtype.kind == "f" else column)


def model_colours(names: Iterable[str]) -> dict[str, str]:
    """A colour for each model, by the fraction of panoramas in its training where its name says it.

    >>> model_colours(["clip_p00", "clip_p30", "ViT-B-32"])
    {'clip_p00': '#f871a4', 'clip_p30': '#680172', 'ViT-B-32': '#CC6677'}
    """
    names = list(dict.fromkeys(names))
    fractions = {name: int(match[1]) / 100 for name in names if (match := MODEL.fullmatch(name))}
    known = {name: to_hex(colormaps["RdPu"](np.interp(x, FRACTIONS, PLACES))) for name, x in fractions.items()}
    return _with_others(names, known, OTHERS)


def set_colours(names: Iterable[str]) -> dict[str, str]:
    """A colour for each image set.

    >>> set_colours(["world_indoor", "360_real"])
    {'world_indoor': '#6B3F1D', '360_real': '#AA4499'}
    """
    return _with_others(names, SET_COLOURS, OTHERS[::-1])


def view_colours(names: Iterable[str]) -> dict[str, str]:
    """A colour for each view mode.

    >>> view_colours(["squash"])
    {'squash': '#B2182B'}
    """
    return _with_others(names, VIEW_COLOURS, OTHERS)


def lam_colour(lam: float) -> tuple[float, float, float, float]:
    """The colour of λ from 0 to 1; the yellow end of the map, invisible on white, is left out."""
    return colormaps["viridis"](0.9 * lam)


def _with_others(names: Iterable[str], known: Mapping[str, str], others: tuple[str, ...]) -> dict[str, str]:
    names = list(dict.fromkeys(names))
    unknown = [name for name in names if name not in known]
    return {name: known.get(name) or others[unknown.index(name) % len(others)] for name in names}


def model_label(name: str, *, separator: str = ", ") -> str:
    """A model's name in words; the name itself where no profile of this project has it.

    >>> model_label("clip_p03"), model_label("vit_b_32_laion400m_quickgelu"), model_label("my_clip")
    ('CLIP, 3 % panoramas', 'ViT-B-32, LAION-400M, QuickGELU', 'my_clip')
    >>> model_label("clip_p00_v70"), model_label("clip_p30_r75")
    ('CLIP, 0 % panoramas, 70 % of the views', 'CLIP, 30 % panoramas, 75 % right cues')
    """
    if match := MODEL.fullmatch(name):
        panoramas, views, reliability = match.groups()
        words = ["CLIP", f"{int(panoramas)} % panoramas"]
        words += [f"{int(views)} % of the views"] if views else []
        return separator.join([*words, *([f"{int(reliability)} % right cues"] if reliability else [])])
    if (match := PUBLISHED_MODEL.fullmatch(name)) and (data := WEIGHTS.get(match[4] or match[1])):
        return separator.join([f"ViT-{match[2].upper()}-{match[3]}", data, *(["QuickGELU"] if match[5] else [])])
    return name


def run_label(name: str) -> str:
    """The name of a fine-tuning run in words: its method, what it was trained with, and its base model where the profile has several.

    >>> run_label("p03_attention_l050"), run_label("p03_l100_lr3e4_epochs30")
    ('LoRA, attention, λ = 0.5 (3 % panoramas)', 'λ = 1, learning rate 3e-4, 30 epochs (3 % panoramas)')
    >>> run_label("paper_l100_lr1e3"), run_label("clip_p03"), run_label("own_run")
    ('λ = 1, learning rate 1e-3', 'CLIP, 3 % panoramas', 'own_run')
    """
    base, *parts = name.split("_")
    match = re.fullmatch(r"p(\d+)", base)
    if not match and base not in PUBLISHED:
        return model_label(name)
    numbers = {r"l(\d{3})": lambda x: f"λ = {int(x) / 100:g}", r"lr(\de\d)": lambda x: f"learning rate {x[0]}e-{x[2]}"}
    numbers[r"epochs(\d+)"] = "{} epochs".format
    method, settings = [], []
    for part in parts:
        found = [words(number[1]) for pattern, words in numbers.items() if (number := re.fullmatch(pattern, part))]
        (settings if found else method).append(*(found or [part]))
    words = [RUNS.get("_".join(method), " ".join(method))] if method else []
    label = ", ".join(words + settings)
    return f"{label} ({int(match[1])} % panoramas)" if match else label


def image_set_label(name: str) -> str:
    """An image set's name in words.

    >>> image_set_label("world_outdoor"), image_set_label("360_real")
    ('outdoors', '360 real')
    """
    return IMAGE_SETS.get(name, name.replace("_", " "))


def view_label(name: str) -> str:
    """A view's name in words.

    >>> view_label("center_crop"), view_label("center_crop, content-matched")
    ('centre crop', 'centre crop, content-matched')
    """
    return ", ".join(VIEWS.get(part, part.replace("_", " ")) for part in name.split(", "))


def method_words(name: str) -> str:
    """An adaptation method's name in words, with its view where it has one.

    >>> method_words("lora_attention"), method_words("distilled_tower, squash"), method_words("average_8")
    ('LoRA, attention', 'distilled tower, squash', 'mean over 8 shifts')
    """
    method, *views = name.split(", ")
    mean = re.fullmatch(r"average_(\d+)", method)
    words = f"mean over {mean[1]} shifts" if mean else METHODS.get(method, method.replace("_", " "))
    return ", ".join([words, *map(view_label, views)])
