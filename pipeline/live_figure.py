"""Score the first panoramas of every image set in every direction of a whole turn, and write the page on which a reader turns them.

Reads results/PROFILE/models, the image sets, and the tables of the crop-or-model study in FIGURES/06_crop_or_model. Writes
FIGURES/live/scores.csv, the numbers that the page shows, and FIGURES/live/index.html, which needs no other file.
"""

import argparse
import sys
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path

import pandas as pd

from clip360.data.image_set import ImageSet
from clip360.data.prompts import prompt
from clip360.figures.tables import read_table
from clip360.geometry.views import shift_fractions
from clip360.models.clip import Clip
from clip360.pages.live_figure import PanoramaOnPage, write_live_figure
from clip360.scoring.embedding import embed_texts
from clip360.scoring.shifts import embed_distinct, shift_measurements, shift_views
from clip360.stats.visual_probe import shift_pivot, stability_bound
from pipeline.error_messages import report
from pipeline.inputs import load_probe_set, read_image_set, read_model
from pipeline.outputs import folder_written_at_once, write_csv
from pipeline.parameters import Parameters, read_params

VIEWS = ("center_crop", "squash")  # those that the page draws
STUDY = "06_crop_or_model"
DECIMALS = 4


def turn_scores(
    clip: Clip, image_set: ImageSet, cues: Mapping[str, str | None], *, n_panoramas: int, n_yaws: int, batch_size: int
) -> pd.DataFrame:
    """CLIP scores of the first ``n_panoramas`` of a set in ``n_yaws`` directions, with the bound β of the whole set.

    ``cues`` maps the name of a condition to the cue of its texts, None to each panorama's own. One row for each condition,
    panorama and direction: model, image_set, view, condition, cue, image, ``yaw`` (degrees to the right, -180 <= yaw < 180),
    ``score`` and ``beta``, the stability bound of this model, set, view and condition; both rounded to ``DECIMALS``.
    """
    shown = image_set.head(n_panoramas)
    turned = embed_distinct(clip, shown, shift_views(shift_fractions(n_yaws)), batch_size=batch_size)
    mirrored = embed_distinct(clip, image_set, shift_views([]), batch_size=batch_size)
    parts = []
    for condition, cue in cues.items():
        own = image_set.table.cue
        words = own if cue is None else own.map(lambda _, cue=cue: cue)
        texts = [prompt(*pair) for pair in zip(words, image_set.table.caption, strict=True)]
        text_embeds = embed_texts(clip, texts)
        controls = shift_pivot(
            shift_measurements(clip, image_set.table, mirrored, text_embeds, image_set=image_set.name)
        )
        beta = stability_bound(controls["shift", 0.0], controls["mirror", 0.0])
        rows = shift_measurements(clip, shown.table, turned, text_embeds[:n_panoramas], image_set=image_set.name)
        rows = rows[rows.condition == "shift"].assign(condition=condition, beta=round(beta, DECIMALS))
        # The camera at yaw ψ sees the panorama shifted by -ψ W / 360.
        rows["yaw"] = (-360 * rows.level + 180) % 360 - 180
        rows["score"] = rows.value.round(DECIMALS)
        parts.append(rows.assign(cue=rows.image.map(dict(zip(image_set.table.image, words, strict=True)))))
    columns = ["model", "image_set", "view", "condition", "cue", "image", "yaw", "score", "beta"]
    order = ["condition", "image", "yaw"]
    return pd.concat(parts, ignore_index=True)[columns].sort_values(order, kind="stable", ignore_index=True)


def all_scores(params: Parameters) -> pd.DataFrame:
    """The rows of ``turn_scores`` for every model, image set and view."""
    study = params.live_figure
    cues = {"format_cue": None, "generic_cue": study.generic_cue}
    parts = []
    for model in params.models:
        text_cache: dict = {}
        for view in VIEWS:
            clip = replace(read_model(params, model, view=view), text_cache=text_cache)
            for name in params.image_sets:
                image_set = read_image_set(params, name, clip).head(params.crop_or_model.n_images)
                parts.append(
                    turn_scores(
                        clip,
                        image_set,
                        cues,
                        n_panoramas=study.n_panoramas,
                        n_yaws=study.n_yaws,
                        batch_size=params.compute.batch_size,
                    )
                )
    return pd.concat(parts, ignore_index=True)


def panoramas(params: Parameters) -> Iterator[PanoramaOnPage]:
    """The panoramas that the page shows, with both of their texts."""
    for name in params.image_sets:
        image_set = load_probe_set(params, name).head(params.live_figure.n_panoramas)
        for row in image_set.table.itertuples():
            cues = {"format_cue": row.cue, "generic_cue": params.live_figure.generic_cue}
            yield PanoramaOnPage(name, image_set.images / row.image, row.caption, cues)


def main(*arguments: str) -> None:
    argparse.ArgumentParser(prog="python -m pipeline.live_figure", description=__doc__).parse_args(arguments)
    params = read_params(inputs=True)
    figures = Path(params.figures)
    comparison, parts = (
        read_table(figures / STUDY / f"{name}.csv") for name in ("view_comparison", "variance_decomposition")
    )
    scores = all_scores(params)
    with folder_written_at_once(figures / "live") as folder:
        write_csv(scores, folder / "scores.csv")
        camera = params.live_figure.perspective_views.model_dump()
        write_live_figure(folder / "index.html", list(panoramas(params)), scores, comparison, parts, **camera)


if __name__ == "__main__":
    report(main, *sys.argv[1:])
