"""Distances between sets of panoramas whose answers are known, from a small CLIP and from a scripted network."""

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image, ImageFilter
from scipy.linalg import sqrtm
from torch import Tensor, nn

from clip360.data.image_set import images_of
from clip360.geometry.views import Camera, cube_faces
from clip360.models.clip import load_clip
from clip360.models.protocol import Protocol
from clip360.reports.set_embeddings import clip_embeds, embed_groups, feature_embeds, load_features
from clip360.stats.inference import Inference
from clip360.stats.set_distances import set_distances
from tests.small_clips import small_clip

INFERENCE = Inference(alpha=0.05, n_bootstrap=100, seed=0)
CHANGES = {
    "same": lambda image: image,
    "shifted": lambda image: Image.fromarray(np.roll(np.asarray(image), 16, axis=1)),
    "shifted less": lambda image: Image.fromarray(np.roll(np.asarray(image), 5, axis=1)),
    "mirrored": lambda image: image.transpose(Image.Transpose.FLIP_LEFT_RIGHT),
    "blurred": lambda image: image.filter(ImageFilter.GaussianBlur(1)),
    "blurred more": lambda image: image.filter(ImageFilter.GaussianBlur(3)),
}


class Means(nn.Module):
    """Features without a network: mean and standard deviation of the pixels of each channel, in [0, 1]."""

    def forward(self, images: Tensor) -> Tensor:
        pixels = images.float() / 255
        return torch.cat([pixels.mean(dim=[2, 3]), pixels.std(dim=[2, 3])], dim=1)


@pytest.fixture(scope="module")
def image_sets(tmp_path_factory):
    """Twelve panoramas of coloured blocks, and changed copies of them, by the name of the change."""
    folder, rng = tmp_path_factory.mktemp("sets"), np.random.default_rng(0)
    originals = [
        Image.fromarray(rng.integers(0, 256, (8, 16, 3), dtype=np.uint8)).resize((64, 32), 0) for _ in range(12)
    ]
    for change, function in CHANGES.items():
        (folder / change).mkdir()
        for k, image in enumerate(originals):
            function(image).save(folder / change / f"{k:02d}.png")
    return {change: images_of(folder / change) for change in CHANGES}


@pytest.fixture(scope="module")
def embed(tmp_path_factory):
    """The embeddings of a small CLIP that receives the whole panorama, squashed."""
    folder = tmp_path_factory.mktemp("model") / "small"
    small_clip(folder)
    return clip_embeds(load_clip(folder, protocol=Protocol(view="squash"), device="cpu"))


@pytest.fixture(scope="module")
def distances(image_sets, embed):
    """CMMD of the whole panorama and of the faces of a cube (mean over groups), by change, against the originals."""
    table = {}
    for views in ("whole", "cube"):
        embeds = {change: embed_groups(embed, image_set, views) for change, image_set in image_sets.items()}
        for change, generated in embeds.items():
            rows = set_distances(embeds["same"], generated, inference=INFERENCE, distances=["cmmd"])
            table[views, change] = rows.iloc[-1]
    return table


def test_a_quarter_turn_changes_everything_but_the_sides_of_a_cube(image_sets, embed):
    """It turns the upper and lower faces in their own plane, so that OmniFID is not invariant under shifts."""
    same, shifted, shifted_less = (
        embed_groups(embed, image_sets[change], "cube") for change in ("same", "shifted", "shifted less")
    )
    change = {group: np.abs(shifted[group] - same[group]).max() for group in same}
    assert change["sides"] < 1e-3 < np.abs(shifted_less["sides"] - same["sides"]).max() / 5
    assert min(change["up"], change["down"]) > 10 * change["sides"]
    values = [
        set_distances(same, x, inference=INFERENCE).set_index(["distance", "group"]).value for x in (same, shifted)
    ]
    for distance in ("frechet", "cmmd"):
        difference = (values[1] - values[0]).abs()[distance]
        assert difference["sides"] < 1e-3 * difference["up"] + 1e-5


def test_distances_grow_with_blur_and_see_a_mirror(distances):
    for views in ("whole", "cube"):
        values = [distances[views, change].value for change in ("same", "blurred", "blurred more")]
        assert values[0] < 0, "pairs of an image with itself are compared between the sets, not within them"
        assert values[0] < values[1] < values[2]
        assert distances[views, "mirrored"].value > values[0]


def test_features_of_a_scripted_network_are_those_of_the_network(image_sets, tmp_path):
    torch.jit.script(Means()).save(tmp_path / "features.pt")
    embed = feature_embeds(load_features(tmp_path / "features.pt", device="cpu"), device="cpu", batch_size=5)
    found = embed_groups(embed, image_sets["same"], "cube")
    panoramas = torch.cat(list(image_sets["same"].batches(12)))
    for group, cameras in cube_faces().items():
        expected = torch.stack([Means()(camera(panoramas)) for camera in cameras]).mean(0)
        assert found[group] == pytest.approx(expected.numpy(), abs=1e-6)
    whole = [embed_groups(embed, image_sets[change], "whole") for change in ("same", "blurred", "blurred more")]
    values = [set_distances(whole[0], x, inference=INFERENCE, distances=["frechet"]).value[0] for x in whole]
    assert values[0] == pytest.approx(0, abs=1e-9) and values[0] < values[1] < values[2]


def plain_frechet(x: np.ndarray, y: np.ndarray) -> float:
    """FID as its definition says, by scipy's matrix root."""
    cov_x, cov_y = np.cov(x, rowvar=False), np.cov(y, rowvar=False)
    return ((x.mean(0) - y.mean(0)) ** 2).sum() + np.trace(cov_x + cov_y - 2 * sqrtm(cov_x @ cov_y).real)


def test_omnifid_and_faed_are_those_of_their_definitions(image_sets):
    """OmniFID: mean of the distances of up, down and the mean features of the four sides; FAED: that of whole panoramas."""
    sets = [image_sets["same"], image_sets["blurred more"]]
    pixels = [next(image_set.batches(12)) for image_set in sets]
    faces = {
        "up": [Camera(0, 90, 90)],
        "down": [Camera(0, -90, 90)],
        "sides": [Camera(k * 90, 0, 90) for k in range(4)],
    }
    expected = {"whole": plain_frechet(*(Means()(x).numpy() for x in pixels))}
    for name, cameras in faces.items():
        features = [torch.stack([Means()(camera(x)) for camera in cameras]).mean(0).numpy() for x in pixels]
        expected[name] = plain_frechet(*features)
    expected["mean"] = np.mean([expected[name] for name in faces])
    embed = feature_embeds(Means(), device="cpu", batch_size=5)
    for views in ("whole", "cube"):
        embeds = [embed_groups(embed, image_set, views) for image_set in sets]
        for row in set_distances(*embeds, inference=INFERENCE, distances=["frechet"]).itertuples():
            assert row.value == pytest.approx(expected.pop(row.group), rel=1e-4)
    assert not expected


class Pictures(nn.Module):
    def forward(self, images: Tensor) -> Tensor:
        return images.float()


def test_files_and_networks_that_give_no_features_are_refused(image_sets, tmp_path):
    (tmp_path / "weights.pt").write_bytes(b"no network")
    with pytest.raises(ValueError, match="weights.pt is no TorchScript file"):
        load_features(tmp_path / "weights.pt", device="cpu")
    with pytest.raises(FileNotFoundError, match="none.pt does not exist"):
        load_features(tmp_path / "none.pt", device="cpu")
    for network, message in (
        (Pictures(), r"the features of 12 images are \[12, 3, 32, 64\]: expected a tensor \[12, D\]"),
        (nn.Linear(3, 2), r"cannot be computed of uint8 images \[12, 3, 32, 64\]"),
    ):
        with pytest.raises(ValueError, match=message):
            embed_groups(feature_embeds(network, device="cpu"), image_sets["same"], "whole")


def test_a_folder_without_images_is_refused(tmp_path):
    pd.DataFrame({"image": []}).to_csv(tmp_path / "captions.csv")
    with pytest.raises(ValueError, match="holds no images"):
        images_of(tmp_path)
