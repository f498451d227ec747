"""The pages of cards in a browser: what they show, that they open no connection, and that everyone can read them."""

import copy
from pathlib import Path

import pytest

from clip360.cards.leaderboard import make_leaderboard
from clip360.pages.card_page import write_card_page
from clip360.pages.interval_plot import axis_of
from clip360.pages.leaderboard_page import write_leaderboard_page
from tests.small_cards import written_card

sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
CHROMIUM = Path("/usr/bin/chromium")
if not CHROMIUM.is_file():
    pytest.skip("chromium is not installed", allow_module_level=True)

HOSTILE = "<script>document.title = 'acted'</script>"


@pytest.fixture(scope="module")
def browser():
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=str(CHROMIUM))
        yield browser
        browser.close()


@pytest.fixture
def open_page(browser):
    """A function that opens a page of a file in a window; at the end it must have been silent and alone."""
    seen, contexts = [], []

    def open_page(path: Path, width: int = 1400, scheme: str = "light"):
        contexts.append(browser.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme))
        page = contexts[-1].new_page()
        page.on("console", lambda message: seen.append(message.text))
        page.on("pageerror", lambda error: seen.append(str(error)))
        page.on("request", lambda request: seen.append(request.url) if request.url != path.as_uri() else None)
        page.goto(path.as_uri())
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert seen == []


def violations(page) -> list[str]:
    axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="axe-playwright-python is not installed")
    # Run by the developer tools, which the page's policy does not bind.
    results = axe.Axe().run(page)
    return [f"{found['id']}: {found['nodes'][0]['html']}" for found in results.response["violations"]]


def card() -> dict:
    card = written_card("model", center_crop=1.2, squash=0.4)
    card["views"]["squash"]["numbers"]["instability"]["undefined"] = ""
    card["verdicts"] = [
        {"measure": "instability", "view": view, "verdict": verdict, "sentence": f"sentence of {view}", "unit": "times"}
        for view, verdict in (("center_crop", "undecided"), ("squash", "holds"))
    ]
    card["left_out"] = {"wide": "it needs a ViT"}
    return card


@pytest.mark.parametrize(("width", "scheme"), [(1400, "light"), (390, "dark")])
def test_the_page_of_a_card_shows_every_number(tmp_path, open_page, width, scheme):
    page = open_page(write_card_page(tmp_path, card()), width, scheme)
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    text = page.inner_text("main")
    assert "Sentence of squash: 0.40 [0.30, 0.50] times." in text
    assert text.index("Sentence of squash") < text.index("Not decided at 99 %") < text.index("Sentence of center_crop")
    assert "Not measured: wide, because it needs a ViT." in text and "12345678" in text
    rows = page.locator("#instability tbody tr")
    shown = [" ".join(row.split()) for row in rows.all_inner_texts()]
    assert shown == ["centre crop 1.20 [1.10, 1.30]", "squash 0.40 [0.30, 0.50]"]
    # The marks lie on the axis from 0 to 1.4, with 4 % of its width on each side.
    boxes = [rows.nth(k).locator("svg.plot").evaluate("x => x.getBoundingClientRect()") for k in range(2)]
    for k, (value, mark) in enumerate(((1.2, "circle"), (0.4, "rect"))):
        box = rows.nth(k).locator(f"{mark}.mark").evaluate("x => x.getBoundingClientRect()")
        centre = (box["x"] + box["width"] / 2 - boxes[k]["x"]) / boxes[k]["width"]
        assert centre == pytest.approx(0.04 + 0.92 * value / 1.4, abs=0.01)
    assert violations(page) == []
    button = page.locator("#theme")
    before = page.evaluate("getComputedStyle(document.body).backgroundColor")
    button.click()
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") != before


def test_names_and_reasons_do_not_act_as_html(tmp_path, open_page):
    hostile = card()
    hostile["model"]["name"] = hostile["image_set"]["name"] = hostile["left_out"]["wide"] = HOSTILE
    hostile["image_set"]["cues"] = [HOSTILE]
    hostile["views"]["center_crop"]["numbers"]["instability"] |= {"value": None, "undefined": HOSTILE}
    page = open_page(write_card_page(tmp_path, hostile))
    assert page.title() == f"Shift card: {HOSTILE}"
    assert page.inner_text("main").count(HOSTILE) == 5


def test_a_click_on_a_head_sorts_the_leaderboard(tmp_path, open_page):
    cards = {
        name: written_card(name, center_crop=x, squash=y)
        for name, x, y in (("a", 0.5, 0.5), ("b", 0.2, None), ("c", 0.9, 0.4))
    }
    cards["c"]["model"]["parameters"]["all"] = 1_000_000
    board = make_leaderboard(cards)
    columns = [copy.copy(vars(column)) for column in board.columns if column.name in board.shown]
    path = write_leaderboard_page(tmp_path, board.table.to_dict("records"), columns, sort=board.sort, card=cards["a"])
    page = open_page(path)
    models = lambda: page.locator("tbody th bdi").all_inner_texts()  # noqa: E731
    sorted_by = page.locator("th[aria-sort]")
    assert models() == ["c", "a", "b"] and sorted_by.count() == 1
    page.locator("thead button").first.click()
    assert models() == ["b", "a", "c"] and sorted_by.first.get_attribute("aria-sort") == "ascending"
    page.locator("thead button").first.click()
    assert models() == ["c", "a", "b"]
    page.get_by_role("button", name="Speed").click()
    assert sorted_by.first.get_attribute("aria-sort") == "descending" and sorted_by.count() == 1
    assert violations(page) == []
    assert violations(open_page(path, 390, "dark")) == []


def test_an_axis_holds_all_intervals_and_zero_between_round_ends():
    axis = axis_of([{"value": 3.0, "low": -7.2, "high": 12.9}, {"value": None, "low": None, "high": None}], 0.0)
    assert (axis.low, axis.high) == (-10.0, 15.0)
    assert axis_of([{"value": None, "low": None, "high": None}], 0.0) is None
