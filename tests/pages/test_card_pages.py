"""The pages of cards in a browser: what they show, that they open no connection, and that everyone can read them."""

import pytest

from clip360.cards.leaderboard import make_leaderboard
from clip360.pages.card_page import write_card_page
from clip360.pages.interval_plot import axis_of
from clip360.pages.leaderboard_page import write_leaderboard_page
from tests.small_cards import written_card

HOSTILE = "<script>document.title = 'acted'</script>"


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
def test_the_page_of_a_card_shows_every_number(tmp_path, opened, violations, width, scheme):
    path = write_card_page(tmp_path, card())
    with opened(path, viewport={"width": width, "height": 900}, color_scheme=scheme) as page:
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        text = page.inner_text("main")
        assert "Sentence of squash: 0.40 [0.30, 0.50] times." in text
        order = [text.index(x) for x in ("Sentence of squash", "Not decided at 99 %", "Sentence of center_crop")]
        assert order == sorted(order)
        assert "Not measured: wide, because it needs a ViT." in text and "12345678" in text
        rows = page.locator("#instability tbody tr")
        shown = [" ".join(row.split()) for row in rows.all_inner_texts()]
        assert shown == ["centre crop 1.20 [1.10, 1.30]", "squash 0.40 [0.30, 0.50]"]
        # The marks lie on the axis from 0 to 1.4, with 4 % of its width on each side.
        for k, (value, mark) in enumerate(((1.2, "circle"), (0.4, "rect"))):
            plot = rows.nth(k).locator("svg.plot").evaluate("x => x.getBoundingClientRect()")
            box = rows.nth(k).locator(f"{mark}.mark").evaluate("x => x.getBoundingClientRect()")
            centre = (box["x"] + box["width"] / 2 - plot["x"]) / plot["width"]
            assert centre == pytest.approx(0.04 + 0.92 * value / 1.4, abs=0.01)
        assert violations(page) == []
        before = page.evaluate("getComputedStyle(document.body).backgroundColor")
        page.locator("#theme").click()
        assert page.evaluate("getComputedStyle(document.body).backgroundColor") != before


def test_names_and_reasons_do_not_act_as_html(tmp_path, opened):
    hostile = card()
    hostile["model"]["name"] = hostile["image_set"]["name"] = hostile["left_out"]["wide"] = HOSTILE
    hostile["image_set"]["cues"] = [HOSTILE]
    hostile["views"]["center_crop"]["numbers"]["instability"] |= {"value": None, "undefined": HOSTILE}
    with opened(write_card_page(tmp_path, hostile)) as page:
        assert page.title() == f"Shift card: {HOSTILE}"
        assert page.inner_text("main").count(HOSTILE) == 5


def test_a_click_on_a_head_sorts_the_leaderboard(tmp_path, opened, violations):
    values = {"a": (0.5, 0.5), "b": (0.2, None), "c": (0.9, 0.4)}
    cards = {name: written_card(name, center_crop=x, squash=y) for name, (x, y) in values.items()}
    board = make_leaderboard(cards)
    columns = [vars(column) for column in board.columns if column.name in board.shown]
    path = write_leaderboard_page(tmp_path, board.table.to_dict("records"), columns, sort=board.sort, card=cards["a"])
    with opened(path, viewport={"width": 1400, "height": 900}) as page:
        names, sorted_by = page.locator("tbody th bdi"), page.locator("th[aria-sort]")
        assert names.all_inner_texts() == ["c", "a", "b"] and sorted_by.count() == 1
        page.locator("thead button").first.click()
        assert names.all_inner_texts() == ["b", "a", "c"] and sorted_by.first.get_attribute("aria-sort") == "ascending"
        page.locator("thead button").first.click()
        assert names.all_inner_texts() == ["c", "a", "b"]
        for order in (["c", "a", "b"], ["a", "c", "b"]):  # the missing number of b comes last in both orders
            page.locator("thead button").nth(1).click()
            assert names.all_inner_texts() == order
        page.get_by_role("button", name="Speed").click()
        assert sorted_by.first.get_attribute("aria-sort") == "descending" and sorted_by.count() == 1
        assert violations(page) == []
    with opened(path, viewport={"width": 390, "height": 900}, color_scheme="dark") as page:
        assert page.evaluate("document.documentElement.scrollWidth") <= 390
        assert violations(page) == []


def test_an_axis_holds_all_intervals_and_zero_between_round_ends():
    axis = axis_of([{"value": 3.0, "low": -7.2, "high": 12.9}, {"value": None, "low": None, "high": None}], 0.0)
    assert (axis.low, axis.high) == (-10.0, 15.0)
    assert axis_of([{"value": None, "low": None, "high": None}], 0.0) is None
