"""Scores of single panoramas against a plain loop, and options that cannot be."""

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image

from clip360.data.image_set import read_panorama
from clip360.geometry.seam_measures import MEASURES
from clip360.reports.panorama_scores import score_panoramas
from clip360.reports.view_protocols import camera_yaw


def test_scores_equal_a_plain_loop(clip, image_set):
    scores = pd.concat(score_panoramas(clip, image_set, n_shifts=4, batch_size=2)).reset_index(drop=True)
    assert scores.image.tolist() == image_set.table.image.tolist()
    for row in scores.itertuples():
        image = np.array(Image.open(image_set.images / row.image).convert("RGB"))
        with torch.no_grad():
            text = clip.network.encode_text(clip.tokenize([row.caption]))
            shifted = [np.roll(image, k * image.shape[1] // 4, axis=1) for k in range(4)]
            image_embeds = [clip.network.encode_image(clip.preprocess(Image.fromarray(x))[None]) for x in shifted]
        expected = np.array([max(100 * torch.cosine_similarity(x, text).item(), 0) for x in image_embeds])
        actual = (row.score, row.robust, row.spread, row.worst)
        assert actual == pytest.approx((expected[0], expected.mean(), expected.std(), expected.min()), abs=1e-4)
        panorama = read_panorama(image_set.images / row.image)
        for name, measure in MEASURES.items():
            assert getattr(row, name) == pytest.approx(measure(panorama).item(), abs=1e-6), name
        assert row.worst_yaw in [camera_yaw(k / 4) for k in range(4) if expected[k] < expected.min() + 1e-4]


def test_impossible_options_and_scores_are_one_sentence(clip, image_set):
    for options, message in (
        ({"n_shifts": 1}, "n_shifts is 1: expected at least 2"),
        ({"batch_size": 0}, "batch_size is 0: expected at least 1"),
        ({"protocols": ["fisheye"]}, "protocol 'fisheye': expected one of half-crop, squash, views-8"),
        ({"protocols": ["squash", "squash"]}, "a protocol is named twice"),
    ):
        with pytest.raises(ValueError, match=message):
            list(score_panoramas(clip, image_set, **options))
    with torch.no_grad():
        clip.network.visual.proj.fill_(torch.nan)
    with pytest.raises(ValueError, match=r"the score of a\.png is not a number"):
        list(score_panoramas(clip, image_set))
