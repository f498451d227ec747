"""Every detail of the protocol against a plain reference, and its effect on a small model."""

import io
import tempfile
from pathlib import Path

import numpy as np
import open_clip
import pandas as pd
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from clip360.data.image_set import load_image_set, read_panorama
from clip360.geometry.panorama import perspective
from clip360.geometry.views import Mirrored, Shift, Window
from clip360.models.clip import load_clip
from clip360.models.protocol import Protocol, read_protocol
from clip360.scoring.clip_score import score_rows
from clip360.scoring.embedding import embed_images
from clip360.scoring.resize_once import crop_view, resize_once
from clip360.scoring.shifts import shift_views
from clip360.scoring.views import resize_to_input
from tests.small_clips import small_clip

SIZE = 32
UNCHANGED = {"unchanged": lambda panoramas: panoramas}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("models") / "small"
    small_clip(folder)
    return folder


@pytest.fixture(scope="module")
def panoramas() -> torch.Tensor:
    """Smooth noise, uint8 [4, 3, 64, 128]."""
    rng = np.random.default_rng(0)
    low = [Image.fromarray(rng.integers(0, 256, (16, 32, 3), dtype=np.uint8)) for _ in range(4)]
    smooth = [np.array(image.resize((128, 64), Image.Resampling.BICUBIC)) for image in low]
    return torch.from_numpy(np.stack(smooth)).permute(0, 3, 1, 2)


def embed(folder, panoramas, **protocol) -> torch.Tensor:
    clip = load_clip(folder, protocol=Protocol(**protocol), device="cpu")
    return embed_images(clip, panoramas.split(2), UNCHANGED, total=len(panoramas))["unchanged"]


def as_pil(panorama: torch.Tensor) -> Image.Image:
    return Image.fromarray(panorama.permute(1, 2, 0).numpy())


def squash(image: Image.Image) -> Image.Image:
    return image.resize((SIZE, SIZE), Image.Resampling.BICUBIC)


def crop_centre(image: Image.Image) -> Image.Image:
    return image.resize((2 * SIZE, SIZE), Image.Resampling.BICUBIC).crop((SIZE // 2, 0, 3 * SIZE // 2, SIZE))


def letterbox(image: Image.Image) -> Image.Image:
    box = Image.new("RGB", (SIZE, SIZE))
    box.paste(image.resize((SIZE, SIZE // 2), Image.Resampling.BICUBIC), (0, SIZE // 4))
    return box


def embed_plainly(clip, images: list[Image.Image]) -> torch.Tensor:
    """Embeddings of images of the network's size, through open_clip's transform, one by one."""
    with torch.no_grad():
        return torch.cat([clip.network.encode_image(clip.preprocess(x)[None], normalize=True) for x in images])


@pytest.mark.parametrize(
    ("view", "reference"),
    [("own", crop_centre), ("center_crop", crop_centre), ("squash", squash), ("letterbox", letterbox)],
)
def test_a_view_equals_a_resize_by_pil(folder, panoramas, view, reference):
    expected = embed_plainly(load_clip(folder, device="cpu"), [reference(as_pil(x)) for x in panoramas])
    assert torch.allclose(embed(folder, panoramas, view=view), expected, atol=1e-5)


def test_a_wide_network_receives_the_whole_panorama_and_interpolates_its_positional_embedding(folder, panoramas):
    clip = load_clip(folder, protocol=Protocol(view="wide"), device="cpu")
    grid = load_clip(folder, device="cpu").network.visual.positional_embedding[1:].reshape(1, 4, 4, -1)
    wide = F.interpolate(grid.permute(0, 3, 1, 2), (4, 8), mode="bicubic", antialias=True)[0].flatten(1).T
    assert torch.allclose(clip.network.visual.positional_embedding[1:], wide, atol=1e-6)
    inputs = torch.stack([clip.preprocess(as_pil(x)) for x in panoramas])
    resized = [np.array(as_pil(x).resize((2 * SIZE, SIZE), Image.Resampling.BICUBIC)) for x in panoramas]
    mean, std = (torch.tensor(getattr(clip.network.visual, name)) for name in ("image_mean", "image_std"))
    expected = (torch.from_numpy(np.stack(resized)) / 255 - mean) / std
    assert torch.allclose(inputs, expected.permute(0, 3, 1, 2), atol=1e-5)
    assert embed(folder, panoramas, view="wide").shape == (4, 32)


def test_multi_view_is_the_mean_of_its_views(folder, panoramas):
    clip, parts = load_clip(folder, device="cpu"), []
    for yaw in (0, 120, 240):
        views = perspective(panoramas / 255, yaw=yaw, fov=100, size=32)
        parts.append(embed_plainly(clip, [as_pil((x * 255).round().byte()) for x in views]))
    expected = F.normalize(torch.stack(parts).mean(0), dim=-1)
    assert torch.allclose(embed(folder, panoramas, view="multi_view", n_views=3, view_fov=100.0), expected, atol=1e-5)


@pytest.mark.parametrize("view", ["center_crop", "squash", "letterbox", "wide"])
def test_resizing_on_tensors_is_close_to_pil(folder, panoramas, view):
    exact, fast = embed(folder, panoramas, view=view), embed(folder, panoramas, view=view, resize="tensor")
    assert 0 < (exact - fast).abs().max() < 0.02


@pytest.mark.parametrize("mode", ["shortest", "longest", "squash"])
def test_resizing_a_tensor_differs_from_open_clips_transform_by_rounding_only(panoramas, mode):
    config = open_clip.transform.PreprocessCfg(size=24, mean=(0.0,) * 3, std=(1.0,) * 3, resize_mode=mode)
    transform = open_clip.transform.image_transform_v2(config, is_train=False)
    expected = torch.stack([transform(as_pil(x)) for x in panoramas]) * 255
    difference = (resize_to_input(panoramas, (24, 24), mode).float() - expected).abs()
    assert difference.max() < 4 and (difference > 1.01).float().mean() < 0.01


def test_the_activation_is_that_of_open_clip(folder, panoramas):
    own, quick = (embed(folder, panoramas, activation=name) for name in ("gelu", "quick_gelu"))
    assert torch.equal(own, embed(folder, panoramas))  # the architecture says nothing, which means GELU
    network, _, preprocess = open_clip.create_model_and_transforms(f"local-dir:{folder}", force_quick_gelu=True)
    with torch.no_grad():
        inputs = torch.stack([preprocess(as_pil(x)) for x in panoramas])
        expected = network.eval().encode_image(inputs, normalize=True)
    assert torch.allclose(quick, expected, atol=1e-5) and not torch.allclose(own, quick, atol=1e-4)


@pytest.mark.parametrize("precision", ["bfloat16", "float16"])
def test_autocast_changes_embeddings_a_little(folder, panoramas, precision):
    exact, autocast = embed(folder, panoramas), embed(folder, panoramas, precision=precision)
    assert 1e-5 < (exact - autocast).abs().max() < 0.05
    assert torch.allclose(autocast.norm(dim=-1), torch.ones(4), atol=1e-6)


def test_shifted_images_are_encoded_by_pil_and_the_unshifted_image_is_not(panoramas):
    views = shift_views([0.25], jpeg_quality=75)
    assert torch.equal(views["shift", 0.0](panoramas), panoramas)
    file = io.BytesIO()
    rolled = np.roll(panoramas[0].permute(1, 2, 0).numpy(), 32, axis=1)
    Image.fromarray(rolled).save(file, "JPEG", quality=75)
    assert np.array_equal(views["shift", 0.25](panoramas)[0].permute(1, 2, 0), np.array(Image.open(file)))


def test_clamping_and_decimals(folder):
    images, texts = F.normalize(torch.tensor([[1.0, 2.0], [-1.0, 0.3]]), dim=-1), torch.tensor([[1.0, 0.0], [1.0, 0.0]])
    names = pd.Series(["a.jpg", "b.jpg"])

    def scores(**protocol):
        clip = load_clip(folder, protocol=Protocol(**protocol), device="cpu")
        return score_rows(clip, "set", names, "shift", 0.0, clip.view, images, texts).value.tolist()

    assert scores() == pytest.approx([44.721359, 0.0]) and scores(clamp_at_zero=False) == pytest.approx(
        [44.721359, -95.782628]
    )
    assert scores(decimals=1) == [44.7, 0.0]


PIXELS = np.random.default_rng(0).integers(0, 256, (8, 16, 3), dtype=np.uint8)
UPSIDE_DOWN = Image.Exif()
UPSIDE_DOWN[0x0112] = 3
IMAGE_FILES = {  # name: (image, options of its file, do we decode it as the released scripts do?)
    "colour.jpg": (Image.fromarray(PIXELS), {}, True),
    "grey.jpg": (Image.fromarray(PIXELS[..., 0]), {}, True),
    "print.jpg": (Image.fromarray(PIXELS).convert("CMYK"), {}, True),
    "colour.png": (Image.fromarray(PIXELS), {}, True),
    "palette.png": (Image.fromarray(PIXELS).convert("P"), {}, True),
    "turned.jpg": (Image.fromarray(PIXELS), {"exif": UPSIDE_DOWN}, False),
    "transparent.png": (Image.fromarray(np.dstack([PIXELS, PIXELS[..., 0]])), {}, False),
    "deep.png": (Image.fromarray(np.uint16(PIXELS[..., 0]) << 8), {}, False),
}


@pytest.mark.parametrize("name", IMAGE_FILES)
def test_images_are_decoded_as_released_where_the_released_decoding_is_right(tmp_path, name):
    image, options, equal = IMAGE_FILES[name]
    image.save(tmp_path / name, **options)
    released = np.asarray(Image.open(tmp_path / name).convert("RGB"))
    assert np.array_equal(read_panorama(tmp_path / name).permute(1, 2, 0), released) == equal


def test_pairing_by_order_goes_wrong_with_a_stray_file(tmp_path):
    (tmp_path / "images").mkdir()
    for name in ("a.png", "b.png", "c.png"):
        Image.new("RGB", (8, 4)).save(tmp_path / "images" / name)
    table = pd.DataFrame({"image": ["b.png", "c.png"], "caption": ["of b", "of c"]})
    table.to_csv(tmp_path / "captions.csv", index=False)
    with pytest.raises(ValueError, match=r"a\.png"):
        load_image_set(tmp_path)
    paired = load_image_set(tmp_path, pairing="order").table
    assert dict(zip(paired.image, paired.caption, strict=True)) == {"a.png": "of b", "b.png": "of c"}
    (tmp_path / "images" / "a.png").unlink()
    pd.testing.assert_frame_equal(load_image_set(tmp_path, pairing="order").table, load_image_set(tmp_path).table)
    (tmp_path / "images" / "b.png").unlink()
    with pytest.raises(ValueError, match="2 captions but there are 1 images"):
        load_image_set(tmp_path, pairing="order")


def test_an_unknown_key_or_value_of_the_protocol_is_one_sentence():
    for section, message in (
        ({"view": "fisheye"}, "protocol.view is 'fisheye': expected one of own, center_crop"),
        ({"precision": "half"}, "protocol.precision is 'half': expected one of float32"),
        ({"jpeg_quality": 0}, "protocol.jpeg_quality is 0: expected 1 to 100, or null"),
        ({"decimals": -1}, "protocol.decimals is -1: expected 0 to 12"),
        ({"view_fov": 180.0}, "protocol.view_fov is 180.0: expected an angle between 0 and 180"),
        ({"n_views": 0}, "protocol.n_views is 0"),
        ({"clamp": True}, "protocol has no key clamp: expected one of view"),
    ):
        with pytest.raises(ValueError, match=message):
            read_protocol(section)


def test_a_batch_that_does_not_fit_into_memory_is_halved_and_reported(folder, panoramas, monkeypatch, capsys):
    clip = load_clip(folder, device="cpu")
    encode, sizes = clip.network.visual.forward, []

    def small_memory(inputs):
        sizes.append(len(inputs))
        if len(inputs) > 1:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")
        return encode(inputs)

    expected = embed(folder, panoramas)
    monkeypatch.setattr(clip.network.visual, "forward", small_memory)
    actual = embed_images(clip, [panoramas], UNCHANGED, total=4)["unchanged"]
    assert torch.allclose(actual, expected, atol=1e-6) and sizes == [4, 2, 1, 1, 1, 1]
    assert "a batch of 4 does not fit into memory: continuing with 2" in capsys.readouterr().err
    monkeypatch.setattr(clip.network.visual, "forward", lambda x: (_ for _ in ()).throw(RuntimeError("else")))
    with pytest.raises(RuntimeError, match="else"):
        embed_images(clip, [panoramas], UNCHANGED, total=4)


@settings(max_examples=20, deadline=None)
@given(
    eighths=st.integers(4, 24), size=st.sampled_from([16, 32, 48]), shift=st.integers(0, 31), seed=st.integers(0, 99)
)
def test_a_shift_cropped_from_one_resize_equals_the_shifted_image_resized(eighths, size, shift, seed):
    """Exactly: a shift by whole pixels before and after commutes with PIL's resize, and so does the mirror."""
    height, fraction = 8 * eighths, shift / 32
    rng = np.random.default_rng(seed)
    panorama = torch.from_numpy(rng.integers(0, 256, (3, height, 2 * height), dtype=np.uint8))
    with tempfile.TemporaryDirectory() as folder:
        clip = small_clip(Path(folder, "small"), image_size=size)
    resized = resize_once(clip, panorama[None], map)
    for view in (Shift(fraction), Mirrored(fraction)):
        inputs = crop_view(clip, resized, view, 2 * height)
        if inputs is None:
            assert fraction * 2 * height % 1 or fraction * 2 * size % 1
        else:
            assert torch.equal(inputs[0], clip.preprocess(as_pil(view(panorama))))


def test_other_views_are_not_cropped_from_one_resize(folder, panoramas):
    for view in ("squash", "letterbox", "wide", "multi_view"):
        assert resize_once(load_clip(folder, protocol=Protocol(view=view), device="cpu"), panoramas, map) is None
    clip = load_clip(folder, device="cpu")
    assert resize_once(clip, panoramas[..., :64], map) is None  # squares
    resized = resize_once(clip, panoramas, map)
    assert crop_view(clip, resized, lambda x: x, 128) is None
    assert crop_view(clip, resized, Window(0.0, 0.3), 128) is None  # no whole number of pixels


def test_a_window_equals_the_square_of_a_shifted_panorama_shifted_in_itself(folder, panoramas):
    """64 pixels high and 32 at the input: shifts by halves commute with the resize everywhere."""
    clip = load_clip(folder, device="cpu")
    inputs = crop_view(clip, resize_once(clip, panoramas, map), Window(0.25, 0.5), 128)
    square = crop_view(clip, resize_once(clip, panoramas, map), Shift(0.25), 128)
    assert torch.equal(inputs, torch.cat([square[..., 16:], square[..., :16]], dim=-1))
    image = Window(0.25, 0.5)(panoramas)[0]
    middle = torch.roll(panoramas[0], 32, -1)[..., 32:96]
    assert torch.equal(image, torch.cat([middle[..., 32:], middle[..., :32]], dim=-1))
