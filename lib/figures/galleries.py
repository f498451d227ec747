"""Images side by side."""

from collections.abc import Mapping, Sequence

import matplotlib.pyplot as plt
from matplotlib.figure import Figure
from torch import Tensor

from clip360.figures.style import PAGE


def gallery(images: Mapping[str, Tensor], *, columns: int, width: float = PAGE) -> Figure:
    """Images [3, H, W] (float in [0, 1] or uint8), all of one shape, each below its title; ``width`` in inches."""
    rows = -(-len(images) // columns)
    height, breadth = next(iter(images.values())).shape[1:]
    figure, axes = plt.subplots(
        rows, columns, squeeze=False, figsize=(width, rows * (width / columns * height / breadth + 0.2))
    )
    for axis in axes.flat:
        axis.axis("off")
    for axis, (title, image) in zip(axes.flat, images.items(), strict=False):
        axis.imshow(image.permute(1, 2, 0).numpy())
        axis.set_title(title, pad=2)
    return figure


def panorama_with_views(panorama: Tensor, views: Sequence[Tensor], *, titles: Sequence[str]) -> Figure:
    """A panorama [3, H, 2H] above the perspective views [3, S, S] taken from it, each below its title."""
    figure = plt.figure(figsize=(PAGE, PAGE * (0.5 + 1 / len(views)) + 0.3))
    grid = figure.add_gridspec(2, len(views), height_ratios=[len(views) / 2, 1])
    top = figure.add_subplot(grid[0, :])
    top.imshow(panorama.permute(1, 2, 0).numpy())
    top.axis("off")
    for column, (view, title) in enumerate(zip(views, titles, strict=True)):
        axis = figure.add_subplot(grid[1, column])
        axis.imshow(view.permute(1, 2, 0).numpy())
        axis.set_title(title, pad=2)
        axis.axis("off")
    return figure
