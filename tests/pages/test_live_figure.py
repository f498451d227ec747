"""The live figure: its scores against an independent computation, and the page in a real browser."""

import base64
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from io import BytesIO
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image, ImageChops, ImageOps

from clip360.data.image_set import ImageRecord, ImageSet, load_image_set, write_image_set
from clip360.geometry.panorama import circular_shift, perspectives
from clip360.models.clip import Clip, load_clip
from clip360.models.protocol import Protocol
from clip360.pages.live_figure import PanoramaOnPage, picture, write_live_figure
from pipeline.live_figure import VIEWS, turn_scores
from tests.small_clips import small_clip

N_YAWS, N_PANORAMAS, HEIGHT, FOV, N_VIEWS = 16, 2, 64, 90.0, 8
CUES = {"format_cue": None, "generic_cue": "photo"}


def blobs(seed: int) -> torch.Tensor:
    """A smooth panorama uint8 [3, H, 2H] that looks different in every direction."""
    noise = np.random.default_rng(seed).integers(0, 256, (4, 8, 3), dtype=np.uint8)
    tiled = Image.fromarray(np.concatenate([noise] * 3, axis=1)).resize((6 * HEIGHT, HEIGHT), Image.Resampling.BICUBIC)
    return torch.from_numpy(np.array(tiled)[:, 2 * HEIGHT : 4 * HEIGHT].copy()).permute(2, 0, 1)


@pytest.fixture(scope="module")
def image_set(tmp_path_factory) -> ImageSet:
    folder = tmp_path_factory.mktemp("sets") / "world_outdoor"
    records = [ImageRecord(f"{k}.jpg", blobs(k), f"scene {k} <b>&amp;", "360 panorama") for k in range(12)]
    write_image_set(folder, records)
    return load_image_set(folder)


@pytest.fixture(scope="module")
def clips(tmp_path_factory) -> list[Clip]:
    """Two models under both views."""
    folder = tmp_path_factory.mktemp("models")
    for seed, name in enumerate(("clip_p00", "clip_p30")):
        small_clip(folder / name, seed=seed)
    protocols = [replace(Protocol(), view=view, clamp_at_zero=False) for view in VIEWS]
    return [load_clip(folder / name, protocol=protocol) for name in ("clip_p00", "clip_p30") for protocol in protocols]


@pytest.fixture(scope="module")
def scores(clips, image_set) -> pd.DataFrame:
    options = {"n_panoramas": N_PANORAMAS, "n_yaws": N_YAWS, "batch_size": 5}
    return pd.concat([turn_scores(clip, image_set, CUES, **options) for clip in clips], ignore_index=True)


def tables() -> tuple[pd.DataFrame, pd.DataFrame]:
    """What the crop-or-model study says of the two models."""
    keys = [("clip_p00", "world_outdoor"), ("clip_p30", "world_outdoor")]
    comparison = [
        {"model": model, "image_set": name, "view": view, "n_shifts_averaged": 1, "n": 12, "sd": 2.0}
        | {"sd_to_crop": ratio, "relative_sd_to_crop": ratio, "relative_sd_to_crop_high": ratio + 0.1}
        for (model, name), ratio in zip(keys, (0.25, 0.5), strict=True)
        for view in VIEWS
    ]
    parts = [
        {"model": model, "image_set": name, "view": view, "content_fraction": 0.75}
        for model, name in keys
        for view in VIEWS
    ]
    return pd.DataFrame(comparison), pd.DataFrame(parts)


def on_page(image_set: ImageSet) -> list[PanoramaOnPage]:
    rows = image_set.table.head(N_PANORAMAS).itertuples()
    cues = {"format_cue": "360 panorama", "generic_cue": "photo"}
    return [PanoramaOnPage(image_set.name, image_set.images / row.image, row.caption, cues) for row in rows]


@pytest.fixture(scope="module")
def page_file(scores, image_set, tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("live") / "index.html"
    write_live_figure(path, on_page(image_set), scores, *tables(), n_views=N_VIEWS, fov=FOV)
    return path


# ------------------------------------------------------------------------------------------------------------- the scores


def brute_force(clip: Clip, image: Image.Image, text: str) -> float:
    """100 cos of one image and one text, by PIL, numpy and the network alone."""
    size = clip.network.visual.preprocess_cfg["size"][0]
    shape = (2 * size, size) if clip.view == "center_crop" else (size, size)
    resized = image.resize(shape, Image.Resampling.BICUBIC)
    if clip.view == "center_crop":
        resized = resized.crop((size // 2, 0, size // 2 + size, size))
    mean, std = (np.array(clip.network.visual.preprocess_cfg[key], np.float32) for key in ("mean", "std"))
    pixels = (np.asarray(resized, np.float32) / 255 - mean) / std
    with torch.no_grad():
        embeds = clip.network.encode_image(torch.from_numpy(pixels).permute(2, 0, 1)[None])[0].numpy()
        text_embeds = clip.network.encode_text(clip.tokenize([text]))[0].numpy()
    return 100 * embeds @ text_embeds / np.linalg.norm(embeds) / np.linalg.norm(text_embeds)


def test_the_scores_are_those_of_panoramas_shifted_by_pil(clips, image_set, scores):
    checked = scores[scores.yaw.isin([-180, -90, -22.5, 0, 45, 157.5])]
    assert len(checked) == 6 * 2 * N_PANORAMAS * len(clips) and len(scores) == N_YAWS * 2 * N_PANORAMAS * len(clips)
    for row in checked.itertuples():
        clip = next(clip for clip in clips if (clip.name, clip.view) == (row.model, row.view))
        panorama = Image.open(image_set.images / row.image)
        shifted = ImageChops.offset(panorama, -round(row.yaw / 360 * panorama.width), 0)
        caption = image_set.table.set_index("image").caption[row.image]
        assert row.cue == {"format_cue": "360 panorama", "generic_cue": "photo"}[row.condition]
        expected = brute_force(clip, shifted, f"This is a {row.cue} of {caption}")
        assert row.score == pytest.approx(expected, abs=2e-3), row


def test_the_bound_is_the_tukey_fence_of_all_mirrored_panoramas(clips, image_set, scores):
    for clip in clips[:2]:
        for condition, cue in (("format_cue", "360 panorama"), ("generic_cue", "photo")):
            changes = []
            for row in image_set.table.itertuples():
                image, text = Image.open(image_set.images / row.image), f"This is a {cue} of {row.caption}"
                changes.append(abs(brute_force(clip, image, text) - brute_force(clip, ImageOps.mirror(image), text)))
            first, third = np.quantile(changes, [0.25, 0.75])
            of_clip = scores[(scores.model == clip.name) & (scores["view"] == clip.view)]
            (beta,) = of_clip[of_clip.condition == condition].beta.unique()
            assert beta == pytest.approx(third + 1.5 * (third - first), abs=4e-3)


def test_the_same_input_gives_the_same_bytes(page_file, scores, image_set, tmp_path):
    again = tmp_path / "index.html"
    write_live_figure(again, on_page(image_set), scores, *tables(), n_views=N_VIEWS, fov=FOV)
    assert again.read_bytes() == page_file.read_bytes()
    text = page_file.read_text(encoding="utf-8")
    assert "0.25 to 0.50 times as much" in text and "makes 75 % of the variance" in text
    assert "shown whole, the score changes less" in text


def test_the_claim_is_left_out_where_an_interval_reaches_one(scores, image_set, tmp_path):
    comparison, parts = tables()
    comparison["relative_sd_to_crop_high"] = 1.2
    path = tmp_path / "index.html"
    write_live_figure(path, on_page(image_set), scores, comparison, parts, n_views=N_VIEWS, fov=FOV)
    assert "changes less" not in path.read_text(encoding="utf-8")


def test_missing_rows_are_reported(scores, image_set, tmp_path):
    comparison, parts = tables()
    others = parts[parts["view"] != "squash"]
    with pytest.raises(ValueError, match="variance_decomposition.csv has no row of the view squash"):
        write_live_figure(tmp_path / "a", on_page(image_set), scores, comparison, others, n_views=8, fov=FOV)
    fewer = scores[~((scores.image == "1.jpg") & (scores.yaw == 0))]
    with pytest.raises(ValueError, match="1.jpg lacks scores of clip_p00 under center_crop"):
        write_live_figure(tmp_path / "a", on_page(image_set), fewer, comparison, parts, n_views=8, fov=FOV)


def test_wide_panoramas_are_made_smaller_and_others_stay_as_they_are(tmp_path):
    for name, size, expected in (("a.jpg", (1024, 512), (1024, 512)), ("b.png", (2000, 1000), (1024, 512))):
        Image.new("RGB", size, "teal").save(tmp_path / name)
        content = base64.b64decode(picture(tmp_path / name).split(",")[1])
        assert Image.open(BytesIO(content)).size == expected
        assert (content == (tmp_path / name).read_bytes()) == (name == "a.jpg")


# ---------------------------------------------------------------------------------------------------------- in a browser


@pytest.fixture
def live(opened, page_file):
    """A function that opens the page in a window of its own, drawn."""

    @contextmanager
    def open_page(**options) -> Iterator:
        with opened(page_file, **{"viewport": {"width": 1400, "height": 900}} | options) as page:
            page.wait_for_selector("body[data-ready]")
            yield page

    return open_page


@pytest.fixture
def page(live) -> Iterator:
    with live() as page:
        yield page


def shown_yaw(page) -> float:
    return float(page.get_attribute("#panorama", "aria-valuenow"))


def assert_numbers(page, scores: pd.DataFrame, *, image: str = "0.jpg", condition: str = "format_cue") -> None:
    """The numbers beside every chart are those of the table at the yaw that the page shows."""
    rows = scores[(scores.image == image) & (scores.condition == condition)].set_index(["model", "view", "yaw"])
    yaw, texts = shown_yaw(page), page.locator(".numbers").all_inner_texts()
    charts = [(model, view) for model in ("clip_p00", "clip_p30") for view in VIEWS]
    assert len(texts) == len(charts)
    for (model, view), text in zip(charts, texts, strict=True):
        here, unshifted = rows.loc[(model, view, yaw)], rows.loc[(model, view, 0.0)]
        change = here.score - unshifted.score
        side = "outside" if abs(change) > here.beta else "within"
        score, text_change, *_ = text.replace("−", "-").split("\n")
        assert float(score) == pytest.approx(here.score, abs=0.0501)
        assert float(text_change.split(",")[0]) == pytest.approx(change, abs=0.0502)
        assert f"{side} ±{here.beta:.1f}" in text_change


def test_arrow_keys_turn_it_by_one_measured_direction(page, scores):
    page.focus("#panorama")
    assert shown_yaw(page) == 0
    assert_numbers(page, scores)
    for key, yaw in (("ArrowRight", 22.5), ("ArrowRight", 45), ("PageUp", 90), ("Home", 0), ("ArrowLeft", -22.5)):
        page.keyboard.press(key)
        assert shown_yaw(page) == yaw
        assert_numbers(page, scores)
    assert page.get_attribute("#panorama", "aria-valuetext") == "22.5° to the left"


def test_dragging_the_panorama_and_a_chart_turns_it(page, scores):
    box = page.locator("#panorama").bounding_box()
    x, y = box["x"] + box["width"] / 2, box["y"] + 100
    page.mouse.move(x, y)
    page.mouse.down()
    page.mouse.move(x - box["width"] / 4 + 3, y, steps=5)
    page.mouse.up()
    assert shown_yaw(page) == 90  # what is dragged left, the camera follows to the right
    assert_numbers(page, scores)
    settled = canvases(page, "#around canvas")
    for key in ("Home", "PageUp", "PageUp"):
        page.press("#panorama", key)
    assert (settled == canvases(page, "#around canvas")).all()  # the picture is the one that was scored
    plot = page.locator(".plot").first
    plot.scroll_into_view_if_needed()
    box = plot.bounding_box()
    page.mouse.click(box["x"] + 34 + (box["width"] - 44) / 4, box["y"] + 50)
    assert shown_yaw(page) == -90
    assert_numbers(page, scores)


def test_touch_turns_it(live, scores):
    with live(viewport={"width": 390, "height": 844}, has_touch=True, is_mobile=True) as page:
        box = page.locator("#panorama").bounding_box()
        x, y = box["x"] + 200, box["y"] + 50
        touch = page.context.new_cdp_session(page)
        for kind, at in (
            ("touchStart", x),
            ("touchMove", x + 40),
            ("touchMove", x + box["width"] / 8),
            ("touchEnd", None),
        ):
            points = [] if at is None else [{"x": at, "y": y}]
            touch.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})
        page.wait_for_selector("#panorama[aria-valuenow='-45']")
        assert_numbers(page, scores)
        assert page.evaluate("document.documentElement.scrollWidth") == 390
        page.locator("footer").scroll_into_view_if_needed()
        assert page.locator("#panorama").bounding_box()["y"] == 0  # it stays in sight


def test_another_text_and_another_panorama_have_their_own_scores(page, scores):
    page.press("#panorama", "ArrowLeft")
    page.get_by_label("“photo”").check()
    assert page.inner_text("#text") == "This is a photo of scene 0 <b>&amp;"
    assert_numbers(page, scores, condition="generic_cue")
    page.locator("#choice button").nth(1).click()
    page.wait_for_selector("#choice button:nth-of-type(2)[aria-pressed=true]")
    assert page.inner_text("#text") == "This is a photo of scene 1 <b>&amp;"
    assert_numbers(page, scores, image="1.jpg", condition="generic_cue")
    page.get_by_label("“360 panorama”").check()
    assert_numbers(page, scores, image="1.jpg")


def canvases(page, selector: str) -> np.ndarray:
    """The pixels of canvases, uint8 [K, S, S, 3]."""
    script = """found => found.map(canvas =>
        Array.from(canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height).data))"""
    pixels = np.array(page.locator(selector).evaluate_all(script), dtype=np.uint8)
    size = round((pixels.shape[1] / 4) ** 0.5)
    return pixels.reshape(len(pixels), size, size, 4)[..., :3]


@pytest.mark.parametrize("yaw", [0.0, -112.5])
def test_the_views_are_those_of_the_package(page, image_set, yaw):
    for _ in range(round(abs(yaw) / 22.5)):
        page.press("#panorama", "ArrowLeft")
    panorama = image_set.read("0.jpg")
    shifted = circular_shift(panorama, -round(yaw / 360 * panorama.shape[-1]))
    around, yaws = canvases(page, "#around canvas"), [360 / N_VIEWS * k for k in range(N_VIEWS)]
    expected = perspectives(shifted.float(), yaws, fov=FOV, size=around.shape[1]).permute(0, 2, 3, 1).numpy()
    assert np.abs(around - expected).mean() < 0.6 and np.abs(around - expected).max() < 6
    picture = Image.fromarray(shifted.permute(1, 2, 0).numpy())
    half = picture.crop((HEIGHT // 2, 0, HEIGHT // 2 + HEIGHT, HEIGHT))
    for selector, shown in (("#crop", half), ("#whole", picture)):
        (pixels,) = canvases(page, selector)
        resized = np.asarray(shown.resize(pixels.shape[:2], Image.Resampling.BILINEAR), float)
        assert np.abs(pixels - resized).mean() < 3


def test_it_turns_once_and_stops(live, page):
    page.click("#turn")
    page.wait_for_selector("#panorama:not([aria-valuenow='0'])")
    assert page.inner_text("#turn") == "Stop"
    page.click("#turn")
    assert page.inner_text("#turn") == "Turn once"
    page.click("#reset")
    assert shown_yaw(page) == 0
    with live(reduced_motion="reduce") as calm:
        calm.click("#turn")
        calm.wait_for_selector("#panorama[aria-valuenow='45']")


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1400, 390])
def test_axe_finds_nothing_serious(live, violations, width, scheme):
    with live(viewport={"width": width, "height": 900}, color_scheme=scheme) as page:
        page.press("#panorama", "ArrowRight")
        assert not violations(page)


def test_it_works_in_a_frame(opened, page_file):
    book = page_file.with_name("book.html")
    book.write_text(f'<iframe src="{page_file.name}" title="live" width="720" height="700"></iframe>', encoding="utf-8")
    with opened(book) as page:
        frame = page.frame_locator("iframe")
        frame.locator("body[data-ready]").wait_for()
        frame.locator("#panorama").press("ArrowRight")
        assert frame.locator("#panorama").get_attribute("aria-valuenow") == "22.5"
