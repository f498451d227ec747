"""The page of `clip360 score` in a browser, against pandas and against the colours of a made panorama."""

import io
import shutil
from itertools import pairwise

import pandas as pd
import pytest
from PIL import Image, ImageColor

from clip360.geometry.seam_measures import VISIBLE
from clip360.pages.pictures import MAX_INLINE
from clip360.pages.score_page import write_score_page
from tests.pages.made import COLOURS, records_of, summary_of, table_of, write_set

expect = pytest.importorskip("playwright.sync_api", reason="playwright is not installed").expect

CAPTIONS = ["a red house by the sea", "The Sea at night", "a forest", "two houses, one red"]
# The last ones would turn the letters around them: overrides from right to left, isolates without an end.
HOSTILE = [
    "<script>alert(1)</script>", "</script><script>alert(2)</script>", "<img src=x onerror=alert(3)>", '" onload="alert(4)',
    "' onclick='alert(5)", "{{ 7 * 7 }}", "<!--", "&lt;b&gt;", "]]></style>", "=1+1", "\u202egnp.exe\u2066", "\u2028\u2029 end",
]  # fmt: skip


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A report of 60 panoramas: its file and its table."""
    folder = tmp_path_factory.mktemp("scores")
    images = write_set(folder / "set", [CAPTIONS[k % 4] for k in range(60)])
    records = records_of(images)
    return write_score_page(folder, records, summary_of(records), images), table_of(records)


def saved(page) -> pd.DataFrame:
    """The rows of the table as the page saves them."""
    with page.expect_download() as download:
        page.click("#save")
    return pd.read_csv(download.value.path(), keep_default_na=False)


def test_rows_are_sorted_and_filtered_as_pandas_does(made, opened):
    path, scores = made
    with opened(path) as page:
        pd.testing.assert_frame_equal(saved(page), scores, check_dtype=False)
        for column, worst_first in (("score", True), ("spread", False), ("image", True)):
            for ascending in (worst_first, not worst_first):
                page.click(f"th[data-column='{column}'] button")
                expected = scores.sort_values(column, ascending=ascending, kind="stable")
                assert saved(page).image.tolist() == expected.image.tolist()
        page.click("#clear")
        low, high = scores.robust.quantile([0.2, 0.7]).round(2)
        page.fill("[data-range='robust from']", str(low))
        page.fill("[data-range='robust to']", str(high))
        page.fill("#search", "SEA red")
        page.press("#search", "Tab")
        expected = scores[scores.robust.between(low, high) & scores.caption.isin(CAPTIONS[:1])]
        expect(page.locator("#count")).to_have_text(f"{len(expected)} of 60 panoramas")
        assert 0 < len(expected) < 15 and saved(page).image.tolist() == expected.image.tolist()


def test_the_filter_of_faults_shows_rows_with_any_of_them(made, opened):
    path, scores = made
    with opened(path) as page:
        page.click("[data-fault='seam']")
        page.click("[data-fault='poles']")
        expected = scores[(scores.seam > VISIBLE["seam"]) | (scores.poles > VISIBLE["poles"])]
        assert 0 < len(expected) < 60 and saved(page).image.tolist() == expected.image.tolist()
        marked = page.locator("#table .fault").count()
        drawn = expected.head(page.locator("#table tr[data-row]").count())
        assert marked == sum((drawn[name] > threshold).sum() for name, threshold in VISIBLE.items())


def test_a_panorama_opens_in_its_worst_direction(made, opened):
    """What the viewer shows in its middle is the colour of that direction, and the marker names its score."""
    path, scores = made
    with opened(path, viewport={"width": 1000, "height": 700}) as page:
        for row in scores.drop_duplicates("worst_yaw").head(3).itertuples():
            page.fill("#search", row.image)
            expect(page.locator("#table .name")).to_have_text([row.image])
            page.click("#table .name")
            assert seen(page) == ImageColor.getrgb(COLOURS[int(row.worst_yaw)])
            marker = page.locator(".yaw-plot .caption").text_content()
            assert marker.replace("−", "-").endswith(f"measured at {row.worst_yaw:.0f}°: {row.worst:.2f}")
            page.click(".directions button:has-text('Middle')")
            marker = f"Camera at 0°; measured at 0°: {row.score:.2f}"
            expect(page.locator(".yaw-plot .caption")).to_have_text(marker)
            assert seen(page) == ImageColor.getrgb(COLOURS[0])
            page.keyboard.press("Escape")
            page.wait_for_selector("#detail", state="hidden")


def seen(page) -> tuple[int, int, int]:
    """The nearest pure colour of the middle of the viewer."""
    page.wait_for_selector("#detail canvas")
    page.wait_for_timeout(150)
    shot = Image.open(io.BytesIO(page.locator("#detail .stage").screenshot())).convert("RGB")
    pixel = shot.getpixel((shot.width // 2, shot.height // 2))
    colours = map(ImageColor.getrgb, COLOURS.values())
    return min(colours, key=lambda colour: sum((a - b) ** 2 for a, b in zip(pixel, colour, strict=True)))


def test_the_page_works_by_keyboard(made, opened):
    path, scores = made
    with opened(path) as page:
        page.focus("th[data-column='worst'] button")
        page.keyboard.press("Enter")
        page.focus("#table .name >> nth=0")
        page.keyboard.press("Enter")
        page.wait_for_selector("#detail canvas")
        page.focus("#detail .viewer-stage")
        before = page.locator(".yaw-plot .caption").text_content()
        page.keyboard.down("ArrowRight")
        expect(page.locator(".yaw-plot .caption")).not_to_have_text(before)
        page.keyboard.up("ArrowRight")
        page.keyboard.press("Escape")
        page.wait_for_selector("#detail", state="hidden")
        assert page.evaluate("document.activeElement.className") == "name"


def test_only_the_rows_in_sight_are_in_the_document(tmp_path, opened):
    images = write_set(tmp_path / "set", [f"caption {k}" for k in range(2000)])
    records = records_of(images)
    for record in records:
        record["sha256"] = records[0]["sha256"]  # one picture is enough
    path = write_score_page(tmp_path, records, summary_of(records), images)
    with opened(path) as page:
        assert page.locator("#table tr[data-row]").count() < 50
        page.evaluate("document.getElementById('table').scrollTop = 1e9")
        page.wait_for_selector("#table tr[data-row='1999']")
        rows = page.locator("#table tr[data-row]").evaluate_all("rows => rows.map(row => Number(row.dataset.row))")
        assert len(rows) < 50 and all(b - a == 1 for a, b in pairwise(rows))


def test_thumbnails_of_many_panoramas_lie_beside_the_page(tmp_path, opened):
    n = MAX_INLINE + 1
    images = write_set(tmp_path / "set", ["a caption"] * n)
    records = records_of(images)
    path = write_score_page(tmp_path, records, summary_of(records), images)
    assert "data:image/jpeg" not in path.read_text(encoding="utf-8")
    with opened(path) as page:
        expect(page.locator("#table img").first).to_have_js_property("naturalWidth", 256)


def test_words_of_others_stay_text(tmp_path, opened):
    names = [f"{k}{text.replace('/', '-')}.png" for k, text in enumerate(HOSTILE)]
    images = write_set(tmp_path / "set", HOSTILE, names)
    records = records_of(images)
    path = write_score_page(tmp_path, records, summary_of(records, model=HOSTILE[1]), images)
    with opened(path, viewport={"width": 1400, "height": 2000}) as page:
        shown = page.locator("#table .panorama")
        for k, (name, text) in enumerate(zip(names, HOSTILE, strict=True)):
            assert shown.nth(k).locator(".name").text_content() == name
            assert shown.nth(k).locator("p").text_content() == text
        assert page.locator(".subtitle bdi").first.text_content() == HOSTILE[1]
        for k in (2, 10):
            page.locator("#table .name").nth(k).click()
            assert page.locator("#detail .caption").first.text_content() == HOSTILE[k]
            page.wait_for_selector("#detail canvas")
            page.keyboard.press("Escape")
        acting = (
            "[...document.querySelectorAll('*')].flatMap(e => [...e.attributes]).filter(a => a.name.startsWith('on'))"
        )
        assert page.evaluate(f"{acting}.length") == 0 and page.locator("script").count() == 2


def test_a_missing_picture_is_reported_in_the_viewer(made, browser, tmp_path):
    """The page was sent without the folder beside it."""
    shutil.copy(made[0], tmp_path / "alone.html")
    page = browser.new_page()
    page.goto((tmp_path / "alone.html").as_uri())
    page.click("#table .name >> nth=0")
    page.wait_for_selector("#detail .loading:has-text('keep the folder beside this page')")
    page.close()


@pytest.mark.parametrize(("scheme", "width"), [("light", 1400), ("dark", 1400), ("light", 390)])
def test_nothing_stands_in_the_way_of_readers(made, opened, violations, scheme, width):
    with opened(made[0], color_scheme=scheme, viewport={"width": width, "height": 900}) as page:
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
        page.evaluate("document.getElementById('filters-panel').open = true")
        assert not violations(page)
        page.click("#table .name >> nth=0")
        page.wait_for_selector("#detail canvas")
        assert not violations(page)


def test_the_switch_turns_light_into_dark(made, opened):
    def lightness(page) -> int:
        colour = page.evaluate("getComputedStyle(document.body).backgroundColor")
        return sum(map(int, colour[4:-1].split(",")))

    with opened(made[0], color_scheme="light") as page:
        before = lightness(page)
        page.click("#theme")
        assert lightness(page) < 150 < 600 < before and page.locator("#theme").text_content() == "Light"
