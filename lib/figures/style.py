"""The one look of all figures, and how they are written."""

from pathlib import Path

import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.figure import Figure

COLUMN, PAGE = 3.4, 7.0  # widths of figures, inches
VIEW_COLOURS = {"panorama": "#0072B2", "perspective": "#D55E00"}  # told apart by colour-blind readers
VIEW_MARKERS = {"panorama": "o", "perspective": "s"}


def house_style() -> None:
    """One look for all figures; the same input gives the same bytes."""
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
