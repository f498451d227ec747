"""Attention redistributed over columns, against the attention weights that torch reports and against plain loops."""

from pathlib import Path

import numpy as np
import pytest
import torch

from clip360.models.attention_pooling import ColumnPooling, even_columns, with_pooling
from clip360.models.positional_embeddings import with_positional_embedding
from tests.small_clips import small_clip

ROWS, COLUMNS, WIDTH, HEADS = 2, 3, 8, 2


def redistributed(weights: np.ndarray, kind: str) -> np.ndarray:
    """The weights [R, C] of one head in loops."""
    total, found = weights.sum(), np.empty_like(weights)
    for row in range(ROWS):
        for column in range(COLUMNS):
            if kind == "row_means":
                found[row, column] = weights[row].sum() / COLUMNS
            else:
                found[row, column] = total / COLUMNS * weights[row, column] / weights[:, column].sum()
    return found


@pytest.mark.parametrize("kind", ["even_columns", "row_means"])
@torch.no_grad()
def test_the_class_token_gets_the_values_in_the_redistributed_weights(kind):
    torch.manual_seed(0)
    attention = torch.nn.MultiheadAttention(WIDTH, HEADS, batch_first=True).eval()
    attention.in_proj_bias.normal_()
    attention.out_proj.bias.normal_()
    tokens = 2 * torch.randn(4, 1 + ROWS * COLUMNS, WIDTH)
    plain, weights = attention(tokens, tokens, tokens, need_weights=True, average_attn_weights=False)
    pooled, _ = ColumnPooling(attention, (ROWS, COLUMNS), kind)(tokens, tokens, tokens, need_weights=False)
    values = (tokens @ attention.in_proj_weight[2 * WIDTH :].T + attention.in_proj_bias[2 * WIDTH :]).numpy()
    for image in range(len(tokens)):
        heads = []
        for head in range(HEADS):
            of_class = weights[image, head, 0].double().numpy()
            patches = redistributed(of_class[1:].reshape(ROWS, COLUMNS), kind)
            assert patches.sum(0) == pytest.approx(of_class[1:].sum() / COLUMNS)  # every column alike
            if kind == "row_means":
                assert patches.sum(1) == pytest.approx(of_class[1:].reshape(ROWS, COLUMNS).sum(1))
            part = values[image, :, head * WIDTH // HEADS : (head + 1) * WIDTH // HEADS]
            heads.append(np.array([of_class[0], *patches.ravel()]) @ part)
        expected = attention.out_proj(torch.tensor(np.concatenate(heads), dtype=torch.float32))
        assert torch.allclose(pooled[image, 0], expected, atol=1e-5)
    assert torch.allclose(pooled[:, 1:], plain[:, 1:], atol=1e-5) and not torch.allclose(
        pooled[:, 0], plain[:, 0], atol=1e-2
    )


def test_even_weights_stay_and_an_empty_column_stays_empty():
    even = torch.tensor([[0.1, 0.3], [0.3, 0.1]])
    assert torch.allclose(even_columns(even), even)
    assert even_columns(torch.tensor([[0.5, 0.0], [0.5, 0.0]])).tolist() == [[0.25, 0.0], [0.25, 0.0]]


@torch.no_grad()
def test_with_positions_of_rows_pooling_keeps_the_symmetry_of_whole_patches(tmp_path: Path):
    clip = small_clip(tmp_path / "small", layers=2, head_width=16)
    images = torch.randn(2, 3, 32, 32, generator=torch.Generator().manual_seed(1))
    for kind in ("even_columns", "row_means"):
        changed = with_pooling(with_positional_embedding(clip, "rows"), kind)
        expected = changed.network.encode_image(images)
        assert torch.allclose(changed.network.encode_image(images.roll(8, dims=-1)), expected, atol=1e-5)
        assert not torch.allclose(
            with_positional_embedding(clip, "rows").network.encode_image(images), expected, atol=1e-4
        )
    assert with_pooling(clip, "own") is clip


def test_what_a_model_cannot_do_is_one_sentence(tmp_path: Path):
    clip = small_clip(tmp_path / "small")
    with pytest.raises(ValueError, match="pooling is 'mean': expected one of own, even_columns, row_means"):
        with_pooling(clip, "mean")
    clip.network.visual.pool_type = "avg"
    with pytest.raises(ValueError, match="small does not pool by a class token whose attention can be redistributed"):
        with_pooling(clip, "row_means")
