"""The style of all figures: sizes, colours, the words that stand for identifiers, and how figures are written."""

import re
from pathlib import Path

import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.figure import Figure

COLUMN, PAGE = 3.4, 7.0  # widths of figures, inches
BLUE, ORANGE = "#0072B2", "#D55E00"  # distinct for colour-blind readers (Wong, Nature Methods 8, 2011)
VIEW_COLOURS = {"panorama": BLUE, "perspective": ORANGE}
VIEW_MARKERS = {"panorama": "o", "perspective": "s"}
VERDICT_COLOURS = {True: BLUE, False: ORANGE}  # H0 is rejected, or not
VERDICT_MARKERS = {True: "o", False: "s"}
PART_COLOURS = {"content": BLUE, "position": ORANGE}  # parts of the variance over shifts

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
}

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
        palette="colorblind",
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
            "figure.constrained_layout.use": True,
            "figure.dpi": 110,
            "svg.hashsalt": "clip360",
        },
    )


def save_figure(figure: Figure, path: Path) -> None:
    """Write path.svg and path.png without dates or versions."""
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path.with_suffix(".svg"), metadata={"Date": None, "Creator": None})
    figure.savefig(path.with_suffix(".png"), dpi=200, metadata={"Software": None})


def rounded(frame: pd.DataFrame, digits: int = 3) -> pd.DataFrame:
    """Numbers rounded for display, so that a rendered table does not depend on the last bits."""
    return frame.apply(lambda column: np.round(column, digits) if column.dtype.kind == "f" else column)


def model_label(name: str, *, separator: str = ", ") -> str:
    """A model's name in words; the name itself where it is not one of the models of this project.

    >>> model_label("clip_p03"), model_label("vit_b_32_openai")
    ('CLIP, 3 % panoramas', 'vit_b_32_openai')
    >>> model_label("clip_p00_v70"), model_label("clip_p30_r75")
    ('CLIP, 0 % panoramas, 70 % of the views', 'CLIP, 30 % panoramas, 75 % right cues')
    """
    if match := re.fullmatch(r"clip_p(\d+)(?:_v(\d+))?(?:_r(\d+))?", name):
        panoramas, views, reliability = match.groups()
        words = ["CLIP", f"{int(panoramas)} % panoramas"]
        words += [f"{int(views)} % of the views"] if views else []
        return separator.join([*words, *([f"{int(reliability)} % right cues"] if reliability else [])])
    return name


def run_label(name: str) -> str:
    """The name of a fine-tuning run in words: its base model, its method, and what it was trained with.

    >>> run_label("p03_attention_l050"), run_label("p03_l100_lr3e4_epochs30")
    ('LoRA, attention, λ = 0.5 (3 % panoramas)', 'λ = 1, learning rate 3e-4, 30 epochs (3 % panoramas)')
    >>> run_label("clip_p03"), run_label("own_run")
    ('CLIP, 3 % panoramas', 'own_run')
    """
    base, *parts = name.split("_")
    if not (match := re.fullmatch(r"p(\d+)", base)):
        return model_label(name)
    numbers = {r"l(\d{3})": lambda x: f"λ = {int(x) / 100:g}", r"lr(\de\d)": lambda x: f"learning rate {x[0]}e-{x[2]}"}
    numbers[r"epochs(\d+)"] = "{} epochs".format
    method, settings = [], []
    for part in parts:
        found = [words(number[1]) for pattern, words in numbers.items() if (number := re.fullmatch(pattern, part))]
        (settings if found else method).append(*(found or [part]))
    words = [RUNS.get("_".join(method), " ".join(method))] if method else []
    return f"{', '.join(words + settings)} ({int(match[1])} % panoramas)"


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

    >>> method_words("lora_attention"), method_words("distilled_tower, squash")
    ('LoRA, attention', 'distilled tower, squash')
    """
    method, *views = name.split(", ")
    return ", ".join([METHODS.get(method, method.replace("_", " ")), *map(view_label, views)])
