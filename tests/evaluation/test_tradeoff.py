"""Measurements of the trade-off and of view modes against plain loops over images, texts and shifts."""

from dataclasses import replace

import pandas as pd
import pytest
import torch
import torch.nn.functional as F
from PIL import Image

from clip360.data.image_set import ImageRecord, load_image_set, write_image_set
from clip360.evaluation.tradeoff import (
    average_shifts,
    equal_steps,
    inter_image_cosine,
    tradeoff_measurements,
    tradeoff_views,
)
from clip360.evaluation.view_modes import control_views, halvings, view_measurements
from clip360.geometry.views import between_fractions
from clip360.names import PANORAMA, PERSPECTIVE
from clip360.scoring.shifts import MIRROR, embed_distinct
from tests.small_clips import small_clip

N = 5
CLASSES = {"a": "a dog", "b": "a red cube", "c": "the moon at night"}
LABELS = ["c", "b", "c", "b", "c"]
COLUMNS = ["model", "image_set", "image", "measure", "condition", "level", "view", "value"]


def crop_middle(panoramas: torch.Tensor) -> torch.Tensor:
    return panoramas[..., 16:48]


@pytest.fixture(scope="module")
def clip(tmp_path_factory):
    """A random model; its scores are not clamped, or the negative ones would all be equal."""
    clip = small_clip(tmp_path_factory.mktemp("clip"))
    return replace(clip, protocol=replace(clip.protocol, clamp_at_zero=False))


@pytest.fixture(scope="module")
def image_set(tmp_path_factory):
    folder = tmp_path_factory.mktemp("sets") / "made"
    generator = torch.Generator().manual_seed(0)
    images = [torch.randint(0, 256, (3, 32, 64), generator=generator, dtype=torch.uint8) for _ in range(N)]
    write_image_set(folder, (ImageRecord(f"{k}.jpg", x, f"object {k}", "360 photo") for k, x in enumerate(images)))
    return load_image_set(folder)


def embed_plainly(clip, images: list[torch.Tensor]) -> torch.Tensor:
    inputs = [clip.preprocess(Image.fromarray(x.permute(1, 2, 0).numpy()))[None] for x in images]
    with torch.no_grad():
        return torch.cat([clip.network.encode_image(x, normalize=True) for x in inputs])


def embed_text_plainly(clip, text: str) -> torch.Tensor:
    with torch.no_grad():
        return clip.network.encode_text(clip.tokenize([text]), normalize=True)[0]


def embed_objects_plainly(clip, cue: str) -> torch.Tensor:
    return torch.stack([embed_text_plainly(clip, f"This is a {cue} of object {k}") for k in range(N)])


def test_measurements_for_the_tradeoff_equal_a_plain_loop(clip, image_set):
    views = tradeoff_views(clip, [0.5], control_view=crop_middle)
    table = tradeoff_measurements(
        clip,
        image_set,
        embed_distinct(clip, image_set, views, batch_size=2),
        generic_cue="photo",
        labels=LABELS,
        classes=CLASSES,
    )
    assert table.columns.tolist() == COLUMNS and table.value.dtype == table.level.dtype == float
    scores, rest = table[table.measure == "clip_score"], table[table.measure != "clip_score"]
    assert set(zip(scores.condition, scores.level, strict=True)) == {("shift", 0.0), ("shift", 0.5), MIRROR}
    at_one_level = (rest["view"] == PERSPECTIVE) | (rest.measure == "inter_image_cosine")
    assert (rest[at_one_level].condition == "unshifted").all() and rest[at_one_level].level.isna().all()
    all_values = rest.assign(level=rest.level.fillna(0.0)).set_index(["level", "measure", "view", "image"]).value
    stored = [batch[0] for batch in image_set.batches(1)]
    for view, images, cue, level in (
        (PANORAMA, stored, "360 photo", 0.0),
        (PANORAMA, [x.roll(x.shape[-1] // 2, dims=-1) for x in stored], "360 photo", 0.5),
        (PERSPECTIVE, [crop_middle(x) for x in stored], "photo", 0.0),
    ):
        values = all_values[level].sort_index()
        image_embeds, text_embeds = embed_plainly(clip, images), embed_objects_plainly(clip, cue)
        class_embeds = {
            name: embed_text_plainly(clip, f"This is a {cue} of {words}") for name, words in CLASSES.items()
        }
        for k in range(N):
            own = image_embeds[k] @ text_embeds[k]
            to_text = sum(bool(image_embeds[k] @ text >= own) for text in text_embeds)
            to_image = sum(bool(image @ text_embeds[k] >= own) for image in image_embeds)
            assert values["image_to_text_rank", view, f"{k}.jpg"] == to_text
            assert values["text_to_image_rank", view, f"{k}.jpg"] == to_image
            predicted = max(CLASSES, key=lambda name: float(image_embeds[k] @ class_embeds[name]))
            assert values["zero_shot_hit", view, f"{k}.jpg"] == (predicted == LABELS[k])
        hits = values[("zero_shot_hit", view)]
        assert 0 < hits.sum() < N
        if view == PANORAMA and level == 0:
            others = [
                sum(float(image_embeds[k] @ image_embeds[j]) for j in range(N) if j != k) / (N - 1) for k in range(N)
            ]
            assert inter_image_cosine(image_embeds).tolist() == pytest.approx(others, abs=1e-5)
            assert values.sort_index()["inter_image_cosine", view].tolist() == pytest.approx(others, abs=1e-5)


def test_an_embedding_that_is_nan_stops_the_tradeoff(clip, image_set):
    """One image is NaN under one view only: neither its rank nor its score may pass as a result."""
    views = tradeoff_views(clip, [0.5], control_view=crop_middle)
    image_embeds = embed_distinct(clip, image_set, views, batch_size=2)
    for key in (("shift", 0.0), PERSPECTIVE):
        damaged = image_embeds | {key: image_embeds[key].clone()}
        damaged[key][3] = torch.nan
        with pytest.raises(ValueError, match=r"check the (model's )?weights"):
            tradeoff_measurements(clip, image_set, damaged, generic_cue="photo")


def test_averaged_embeddings_are_those_of_a_loop(clip, image_set):
    fractions = [0.25, 1 / 8 + 1 / 32]
    views = tradeoff_views(clip, fractions, control_view=crop_middle, n_averaged=[1, 4])
    single_pass = embed_distinct(clip, image_set, views, batch_size=2)
    averaged = average_shifts(single_pass, fractions, n_averaged=4)
    assert list(averaged) == [("shift", 0.0), *(("shift", x) for x in fractions), MIRROR, PERSPECTIVE]
    for start in (0.0, *fractions):
        expected = F.normalize(sum(single_pass["shift", (start + j / 4) % 1] for j in range(4)), dim=-1)
        assert torch.allclose(averaged["shift", start], expected, atol=1e-6)
    assert torch.allclose(averaged["shift", 0.25], averaged["shift", 0.0], atol=1e-6)  # among those averaged
    assert not torch.allclose(averaged["shift", fractions[1]], averaged["shift", 0.0], atol=1e-6)  # between them
    mirrored = F.normalize(sum(single_pass["mirror", j / 4] for j in range(4)), dim=-1)
    assert torch.allclose(averaged[MIRROR], mirrored, atol=1e-6)
    assert torch.equal(averaged[PERSPECTIVE], single_pass[PERSPECTIVE])


def test_shifts_between_those_of_the_paper_are_whole_pixels_and_in_no_mean():
    """At 512 and at 256 pixels, for 8 tested shifts: means over up to 16 equal steps take none of them in."""
    for fraction in between_fractions(8):
        assert (fraction * 512).is_integer() and (fraction * 256).is_integer()
        assert all(fraction not in equal_steps(0.0, n) for n in (2, 4, 8, 16))


def test_measurements_of_a_view_mode_equal_a_plain_loop(tmp_path, image_set):
    """By a model whose embedding is a random projection of the pixels, so that a shift changes it, and with it the ranks."""
    clip = small_clip(tmp_path / "clip")
    weights = torch.randn(3 * 32 * 32, 32, generator=torch.Generator().manual_seed(1))
    clip.network.encode_image = lambda x, normalize=False: F.normalize(x.flatten(1) @ weights, dim=-1)
    clip = replace(clip, protocol=replace(clip.protocol, clamp_at_zero=False))
    controls = control_views(small_shift=0.125, jpeg_quality=95, resample_scale=0.5)
    table = view_measurements(clip, image_set, n_shifts=8, n_windows=4, controls=controls, batch_size=2)
    assert table.columns.tolist() == [*COLUMNS, "in_window_shift"]
    conditions = table[table.measure == "clip_score"].groupby("condition")["level"].nunique().to_dict()
    assert conditions == {"shift": 8, "mirror": 1, "window": 4, "small_shift": 2, "jpeg": 1, "resampled": 1}
    assert (table.in_window_shift == 0).equals(table.condition != "window")

    stored = [batch[0] for batch in image_set.batches(1)]
    by_shift = [embed_plainly(clip, [x.roll(8 * k, dims=-1) for x in stored]) for k in range(8)]
    text_embeds = embed_objects_plainly(clip, "360 photo")
    expected = {("shift", k / 8): embeds for k, embeds in enumerate(by_shift)}
    for n in halvings(8):
        expected["averaged", float(n)] = F.normalize(sum(by_shift[:: 8 // n]), dim=-1)
    ranks = table[table.measure == "image_to_text_rank"].set_index(["condition", "level", "image"]).value.sort_index()
    assert set(ranks.index.droplevel("image")) == set(expected)
    for key, embeds in expected.items():
        similarity = embeds @ text_embeds.T
        ranks_of_loop = [int((similarity[k] >= similarity[k, k]).sum()) for k in range(N)]
        assert ranks[key].tolist() == ranks_of_loop

    windows = table[table.condition == "window"]
    row = windows[(windows.level == 0.25) & (windows.in_window_shift == 0.5)].iloc[2]
    window = stored[2].roll(16, dims=-1)[..., 16:48].roll(16, dims=-1)
    score = 100 * F.cosine_similarity(embed_plainly(clip, [window]), text_embeds[2:3]).item()
    assert row.image == "2.jpg" and row.value == pytest.approx(score, abs=1e-3)


def test_control_views_keep_shape_and_content(image_set):
    batch = next(image_set.batches(N)).contiguous()
    for (condition, level), view in control_views(small_shift=0.125, jpeg_quality=95, resample_scale=0.5).items():
        changed = view(batch)
        assert changed.shape == batch.shape and changed.dtype == torch.uint8
        if condition == "small_shift":
            assert torch.equal(changed, batch.roll(round(64 * level), dims=-1))
        assert not torch.equal(changed, batch), condition


def test_levels_stay_numbers_when_tables_are_joined(clip, image_set):
    """Rows without a level are NaN, so that the column keeps its type."""
    views = tradeoff_views(clip, [0.5], control_view=crop_middle)
    image_embeds = embed_distinct(clip, image_set, views, batch_size=2)
    table = tradeoff_measurements(clip, image_set, image_embeds, generic_cue="photo")
    assert pd.concat([table, table]).dtypes[["level", "value"]].tolist() == [float, float]
