"""View protocols against plain loops over PIL images, their table against geometry, and their hashes."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image

from clip360.data import image_set as image_sets
from clip360.data.image_set import load_image_set, read_panorama
from clip360.geometry.canonical_yaw import at_canonical_yaw
from clip360.geometry.panorama import perspective
from clip360.models.clip import load_clip
from clip360.models.protocol import Protocol
from clip360.reports.panorama_scores import score_panoramas, score_records
from clip360.reports.view_protocols import PROTOCOLS, protocol_hash, require_protocols, shift_protocol
from tests.small_clips import small_clip

SIZE = 32  # of the network's input


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("models") / "small"
    small_clip(folder, seed=2)  # its scores are positive
    return folder


@pytest.fixture
def image_set(tmp_path):
    """Three panoramas of smooth noise, 128 x 64."""
    rng = np.random.default_rng(0)
    for k in range(3):
        low = Image.fromarray(rng.integers(0, 256, (8, 16, 3), dtype=np.uint8))
        low.resize((128, 64), Image.Resampling.BICUBIC).save(tmp_path / f"{k}.png")
    captions = {"image": [f"{k}.png" for k in range(3)], "caption": [f"object {k}" for k in range(3)]}
    pd.DataFrame(captions).to_csv(tmp_path / "captions.csv", index=False)
    return load_image_set(tmp_path)


def camera(pixels: np.ndarray, yaw: float, pitch: float, fov: float) -> np.ndarray:
    view = perspective(torch.from_numpy(pixels).permute(2, 0, 1) / 255, yaw=yaw, pitch=pitch, fov=fov, size=32)
    return (view * 255).round().byte().permute(1, 2, 0).numpy()


def canonical(pixels: np.ndarray) -> np.ndarray:
    return at_canonical_yaw(torch.from_numpy(pixels).permute(2, 0, 1)[None])[0].permute(1, 2, 0).numpy()


TANGENT = [(67.5, 3), (22.5, 6), (-22.5, 6), (-67.5, 3)]
VIEWS = {  # of a panorama as an array [64, 128, 3]: what is resized to a square
    "half-crop": lambda x: [x[:, 32:96]],
    "squash": lambda x: [x],
    "views-8": lambda x: [camera(x, yaw, 0, 90) for yaw in range(0, 360, 45)],
    "cube-6": lambda x: [camera(x, *angles, 90) for angles in ((0, 90), (0, -90), (0, 0), (90, 0), (180, 0), (270, 0))],
    "tangent-18": lambda x: [camera(x, 360 / n * (k + 0.5), pitch, 80) for pitch, n in TANGENT for k in range(n)],
    "robust-8": lambda x: [np.roll(x, 16 * k, axis=1) for k in range(8)],
    "canonical": lambda x: [canonical(x)],
}


def squashed(pixels: np.ndarray) -> Image.Image:
    return Image.fromarray(pixels).resize((SIZE, SIZE), Image.Resampling.BICUBIC)


def cropped(pixels: np.ndarray) -> Image.Image:
    """As torchmetrics does: the shorter edge resized, the middle cut out."""
    wide = Image.fromarray(pixels).resize((2 * SIZE, SIZE), Image.Resampling.BICUBIC)
    return wide.crop((SIZE // 2, 0, 3 * SIZE // 2, SIZE))


@pytest.mark.parametrize("view", ["squash", "center_crop", "multi_view"])
def test_every_protocol_is_the_mean_score_of_its_views_whatever_the_models_own_view(folder, image_set, view):
    clip = load_clip(folder, protocol=Protocol(view=view), device="cpu")
    found = pd.concat(score_panoramas(clip, image_set, n_shifts=2, batch_size=2, protocols=list(VIEWS)))
    plain = load_clip(folder, device="cpu")
    for row in found.to_dict("records"):
        pixels = np.array(Image.open(image_set.images / row["image"]))
        with torch.no_grad():
            text = plain.network.encode_text(plain.tokenize([row["caption"]]))
            for name, views in VIEWS.items():
                images = [cropped(pixels)] if name == "half-crop" else map(squashed, views(pixels))
                embeds = [plain.network.encode_image(plain.preprocess(image)[None]) for image in images]
                scores = [max(100 * torch.cosine_similarity(embed, text).item(), 0) for embed in embeds]
                assert row[name] == pytest.approx(np.mean(scores), abs=1e-4), name
                assert PROTOCOLS[name].sphere_fraction and len(PROTOCOLS[name].views) == len(scores)


def test_groups_of_views_are_named_by_what_they_show(folder, image_set):
    """The top of a panorama is white, a part on the right (yaw 90) red: each group sees its own part."""
    pixels = np.zeros((64, 128, 3), np.uint8)
    pixels[:24] = 255
    pixels[24:40, 84:112] = (255, 0, 0)  # yaw 56 to 135
    pixels = torch.from_numpy(pixels).permute(2, 0, 1)[None]
    red = {name: group[0](pixels)[0, :, 16, 16].tolist() for name, group in PROTOCOLS["views-8"].groups.items()}
    assert [name for name, colour in red.items() if colour == [255, 0, 0]] == ["90"]
    shifted = {name: group[0](pixels)[0, :, 32, 64].tolist() for name, group in PROTOCOLS["robust-8"].groups.items()}
    assert shifted["90"] == [255, 0, 0] and shifted["-90"] == shifted["0"] == [0, 0, 0]
    cube = {name: group[0](pixels)[0, :, 16, 16].tolist() for name, group in PROTOCOLS["cube-6"].groups.items()}
    assert cube == {"up": [255] * 3, "down": [0] * 3, "sides": [0] * 3}
    clip = load_clip(folder, protocol=Protocol(view="squash"), device="cpu")
    (records,) = score_records(clip, image_set, n_shifts=2, protocols=["cube-6", "squash"])
    assert records[0]["by_group"].keys() == {"shifts", "cube-6"}
    cube = records[0]["by_group"]["cube-6"]
    assert records[0]["cube-6"] == pytest.approx((cube["up"] + cube["down"] + 4 * cube["sides"]) / 6)


def test_the_fractions_of_the_sphere_are_those_of_random_directions():
    """By rotation matrices and the edges of each camera's image."""
    rng = np.random.default_rng(0)
    directions = rng.normal(size=(100_000, 3))  # x right, y ahead, z up
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    for name, protocol in PROTOCOLS.items():
        seen = np.zeros(len(directions), bool)
        for view in protocol.views:
            if not hasattr(view, "fov"):
                seen |= (directions[:, 1] > 0) if protocol.resize_mode == "center_crop" else True
                continue
            yaw, pitch = np.radians([view.yaw, view.pitch])
            ahead = np.array([np.sin(yaw) * np.cos(pitch), np.cos(yaw) * np.cos(pitch), np.sin(pitch)])
            right = np.array([np.cos(yaw), -np.sin(yaw), 0])
            x, y, z = directions @ right, directions @ ahead, directions @ np.cross(right, ahead)
            edge = np.tan(np.radians(view.fov / 2)) * y
            seen |= (y > 0) & (np.abs(x) <= edge) & (np.abs(z) <= edge)
        assert protocol.sphere_fraction == pytest.approx(seen.mean(), abs=0.01), name


def test_each_panorama_is_decoded_once_and_each_input_embedded_once(folder, image_set, monkeypatch):
    clip, decoded, n_inputs = load_clip(folder, protocol=Protocol(view="squash"), device="cpu"), [], []
    monkeypatch.setattr(image_sets, "read_panorama", lambda path: decoded.append(path) or read_panorama(path))
    forward = clip.network.visual.forward
    monkeypatch.setattr(clip.network.visual, "forward", lambda x: n_inputs.append(len(x)) or forward(x))
    list(score_panoramas(clip, image_set, n_shifts=4, protocols=["half-crop", "squash", "robust-8", "canonical"]))
    assert len(decoded) == 3
    assert sum(n_inputs) == 3 * (
        8 + 1 + 1
    )  # the shifts of robust-8 are also those of squash and of the model's own view


def test_a_protocol_resizes_on_tensors_as_the_same_view_does(folder, image_set):
    for name, view in (("half-crop", "center_crop"), ("squash", "squash")):
        clips = [
            load_clip(folder, protocol=Protocol(view=x, resize="tensor"), device="cpu") for x in ("letterbox", view)
        ]
        other, own = (pd.concat(score_panoramas(clip, image_set, n_shifts=2, protocols=[name])) for clip in clips)
        assert other[name].to_numpy() == pytest.approx(own.score.to_numpy(), abs=1e-4)


def test_a_hash_covers_everything_that_changes_a_score_and_nothing_else(folder, tmp_path):
    clip = load_clip(folder, protocol=Protocol(view="squash"), device="cpu")
    hashes = {name: protocol_hash(clip, protocol) for name, protocol in PROTOCOLS.items()}
    assert len(set(hashes.values())) == len(PROTOCOLS) and all(len(x) == 8 for x in hashes.values())
    squash = PROTOCOLS["squash"]
    for changed in (
        {"precision": "bfloat16"},
        {"resize": "tensor"},
        {"clamp_at_zero": False},
        {"decimals": 2},
        {"activation": "quick_gelu"},
    ):
        other = replace(clip, protocol=replace(clip.protocol, **changed))
        assert protocol_hash(other, squash) != hashes["squash"], changed
    larger = small_clip(tmp_path / "larger", image_size=48)
    assert protocol_hash(larger, squash) != hashes["squash"]
    for unchanged in (load_clip(folder, device="cpu"), small_clip(tmp_path / "other", seed=5)):
        assert protocol_hash(unchanged, squash) == hashes["squash"], "own view and weights do not count"
    few, many = (
        replace(clip, view="multi_view", protocol=Protocol(view="multi_view", n_views=n, view_fov=fov))
        for n, fov in ((4, 90.0), (4, 80.0))
    )
    assert protocol_hash(few, shift_protocol(few, 2)) != protocol_hash(many, shift_protocol(many, 2))
    assert shift_protocol(few, 8).sphere_fraction == PROTOCOLS["views-8"].sphere_fraction


def test_a_wide_network_takes_no_named_protocol(folder):
    with pytest.raises(ValueError, match="wide gives a network that takes no squares"):
        require_protocols(load_clip(folder, protocol=Protocol(view="wide"), device="cpu"), ["squash"])


def test_the_documentation_lists_the_protocols_as_the_table_in_code_does():
    """Name, words, fraction of the sphere, and forward passes."""
    rows = [
        f"| `{name}` | {protocol.shows} | {protocol.sphere_fraction:.2f} | {len(protocol.views)} |"
        for name, protocol in PROTOCOLS.items()
    ]
    assert "\n".join(rows) in Path("docs/scoring.md").read_text(encoding="utf-8")
