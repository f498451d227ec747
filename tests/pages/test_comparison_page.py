"""The page of `clip360 compare`: its words against the tables, and the page in a browser."""

import json

import numpy as np
import pandas as pd
import pytest

from clip360.pages.comparison_page import write_comparison_page
from clip360.pages.failures import N_SHOWN, failures, read_records
from clip360.pages.verdicts import rank_table
from tests.pages.made import records_of, table_of, write_reports, write_set

A, B, C = "first", "</script><b>second</b>", "third\u202e"
N = 40


def comparison(folder, *, paired: bool = True, with_images: bool = True):
    """The folder of a comparison of three made generators, of which B has visible seams and A higher scores; its page."""
    sets, generators = {}, {}
    for k, (name, seam, better) in enumerate(((A, 1.0, 4.0), (B, 9.0, 0.0), (C, 1.0, 0.0))):
        captions = [f"<i>caption</i> {n}{'' if paired else f' of {k}'}" for n in range(N)]
        sets[name] = write_set(folder / f"set_{k}", captions)
        generators[name] = records_of(sets[name], seed=k, seam=seam, better=better)
    out = write_reports(folder, generators)
    scores = {name: table_of(records) for name, records in generators.items()}
    return out, write_comparison_page(out, scores, sets if with_images else dict.fromkeys(sets))


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    return comparison(tmp_path_factory.mktemp("comparison"))


def test_the_verdicts_are_those_of_the_table(made, opened):
    out, path = made
    table = pd.read_csv(out / "comparison.csv", keep_default_na=False)
    assert {A, "cannot be decided"} <= set(table.verdict)
    with opened(path) as page:
        for k, ((a, b), rows) in enumerate(table.groupby(["a", "b"], sort=False)):
            verdict = page.locator(".verdict").nth(k)
            decided = rows[rows.verdict != "cannot be decided"]
            items = verdict.locator("li").all_text_contents()
            assert len(items) == len(decided)
            for winner in decided.verdict.unique():
                assert sum(f": {winner} is better by" in item for item in items) == (decided.verdict == winner).sum()
            for row in decided.itertuples():
                assert any(f"is better by {abs(row.difference):.2f} [" in item for item in items)
            head = verdict.locator("h3").text_content()
            if not len(decided):
                assert "cannot be decided" in head
            elif decided.verdict.nunique() == 1:
                loser = b if decided.verdict.iloc[0] == a else a
                assert f"{decided.verdict.iloc[0]} is better than {loser} in {len(decided)} of" in head
            verdict.locator("button").click()
            cells = page.locator("#forest .verdict-cell").all_text_contents()
            assert sorted(cell.removesuffix(" is better") for cell in cells) == sorted(rows.verdict)
            assert page.locator("#forest .mark.decided").count() == len(decided)


def test_a_mark_lies_on_the_side_of_the_better_generator(made, opened):
    out, path = made
    table = pd.read_csv(out / "comparison.csv")
    with opened(path) as page:
        lines = page.locator("#forest tbody tr:has(.mark)")
        for k, row in enumerate(
            page.locator("#forest tbody tr:has(.mark) th").evaluate_all("x => x.map(e => e.title)")
        ):
            (metric,) = [
                m for m in json.loads((out / "comparison.json").read_text())["metrics"] if m["meaning"] == row
            ][:1]
            found = table[(table.a == A) & (table.b == B) & (table.metric == metric["name"])].iloc[0]
            x = float(lines.nth(k).locator(".mark").get_attribute("cx"))
            sign = -1 if metric["lower_is_better"] else 1
            assert np.sign(x - 140) == np.sign(sign * found.difference)


@pytest.mark.parametrize("width", [390, 1400])
def test_the_numbers_of_the_axes_are_large_enough_to_read(made, opened, width):
    with opened(made[1], viewport={"width": width, "height": 900}) as page:
        drawn = "x => x.map(e => parseFloat(getComputedStyle(e).fontSize) * e.getScreenCTM().a)"
        sizes = page.locator("#forest svg text").evaluate_all(drawn)
        assert len(sizes) == 6 and min(sizes) >= 10.5


def test_failures_are_the_largest_differences(made):
    out, _ = made
    content = json.loads((out / "comparison.json").read_text())
    differences = pd.read_csv(out / "differences.csv")
    shown = failures(content, differences, {})
    for pair, by_metric in zip(content["pairs"], shown, strict=True):
        rows = differences[(differences.a == pair["a"]) & (differences.b == pair["b"])]
        for metric in content["metrics"]:
            gains = rows[metric["name"]] * (-1 if metric["lower_is_better"] else 1)
            for who, losses in (("a", -gains), ("b", gains)):
                expected = sorted(losses[losses > 0], reverse=True)[:N_SHOWN]
                found = [abs(row["difference"]) for row in by_metric[metric["name"]][who]]
                assert found == pytest.approx(expected)


def test_records_are_read_from_lines_and_from_shards(tmp_path):
    records = records_of(write_set(tmp_path / "set", ["a caption"] * 5))
    (tmp_path / "lines").mkdir()
    (tmp_path / "lines" / "scores.jsonl").write_text("".join(json.dumps(record) + "\n" for record in records))
    shard = pd.DataFrame([record | {"by_group": json.dumps(record["by_group"])} for record in records])
    (tmp_path / "parquet" / "shards").mkdir(parents=True)
    shard[:3].to_parquet(tmp_path / "parquet" / "shards" / "0.parquet")
    shard[3:].to_parquet(tmp_path / "parquet" / "shards" / "1.parquet")
    wanted = {records[k]["image"]: records[k] for k in (1, 4)}
    for form in ("lines", "parquet"):
        assert read_records(tmp_path / form, wanted.keys()) == wanted
    assert read_records(tmp_path / "set", wanted.keys()) == {}


def test_a_protocol_decides_the_order_only_where_tests_do():
    def generator(name: str, **means: float) -> dict:
        return {"name": name, "means": {key: {"mean": x, "low": x, "high": x} for key, x in means.items()}}

    def content(better: dict) -> dict:
        metrics = [{"name": name, "is_protocol": True} for name in ("p", "q")]
        pairs = [{"a": "x", "b": "y", "better": better}]
        return {"metrics": metrics, "generators": [generator("x", p=2, q=1), generator("y", p=1, q=2)], "pairs": pairs}

    undecided = rank_table(content({"a": ["p"], "b": [], "undecided": ["q"]}))
    assert [[cell["rank"] for cell in row["cells"]] for row in undecided["rows"]] == [[1, 2], [2, 1]]
    assert len(undecided["orders"]) == 2 and not undecided["reversals"]
    (reversal,) = rank_table(content({"a": ["p"], "b": ["q"], "undecided": []}))["reversals"]
    assert (reversal["a_under"], reversal["b_under"]) == (["p"], ["q"])


def test_a_failure_opens_with_both_panoramas(made, opened):
    _, path = made
    with opened(path, viewport={"width": 1400, "height": 900}) as page:
        page.select_option("#metric", "seam")
        page.click("#failures-list .pair >> nth=0")
        page.wait_for_selector("#detail .columns > div:nth-child(2) canvas")
        assert page.locator("#detail canvas").count() == 2
        assert page.locator("#detail .caption").first.text_content().startswith("<i>caption</i>")
        assert set(page.locator("#detail .columns h3 bdi").all_text_contents()) == {A, B}
        assert page.locator("b:has-text('second') i").count() == 0


@pytest.mark.parametrize("variant", [{"paired": False}, {"with_images": False}], ids=["unpaired", "without images"])
def test_other_comparisons_have_a_page_too(tmp_path, opened, variant):
    _, path = comparison(tmp_path, **variant)
    with opened(path) as page:
        page.select_option("#metric", "robust")
        page.click("#failures-list .pair >> nth=0")
        wanted = "canvas" if variant.get("with_images", True) else ".loading:has-text('no picture')"
        page.wait_for_selector(f"#detail {wanted} >> nth=0")


@pytest.mark.parametrize(("scheme", "width"), [("light", 1400), ("dark", 1400), ("light", 390)])
def test_nothing_stands_in_the_way_of_readers(made, opened, violations, scheme, width):
    with opened(made[1], color_scheme=scheme, viewport={"width": width, "height": 900}) as page:
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
        assert not violations(page)
        page.click("#failures-list .pair >> nth=0")
        page.wait_for_selector("#detail canvas")
        assert not violations(page)
