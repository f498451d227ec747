"""`clip360 compare`: every number of its files against a plain computation, its verdicts, and its errors."""

import json
import math
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image
from scipy import optimize, stats
from statsmodels.stats.multitest import multipletests

from clip360.geometry.seam_measures import VISIBLE
from clip360.models.clip import WEIGHTS
from clip360.stats.comparison import LOWER_IS_BETTER, METRICS, UNDECIDED
from tests.command_line import error_of, run
from tests.commands.conftest import scores_of, write_report
from tests.reports.test_panorama_sources import png, write_tar
from tests.small_clips import small_clip

ALPHA, N_BOOTSTRAP, SEED = 0.05, 1000, 4
INFERENCE = ["--alpha", ALPHA, "--resamples", N_BOOTSTRAP, "--seed", SEED]


def plain_row(a: pd.DataFrame, b: pd.DataFrame, metric: str, n_rows: int) -> tuple[dict, dict]:
    """The numbers of a row of comparison.csv, of two tables of scores, by loops and other functions; resamples where unpaired."""
    floor, sign = VISIBLE.get(metric, -math.inf), -1 if metric in LOWER_IS_BETTER else 1
    of_a, of_b = ({row.caption: max(row[metric], floor) for _, row in table.iterrows()} for table in (a, b))
    shared = [caption for caption in of_a if caption in of_b]
    rng = np.random.default_rng(SEED)
    alpha = ALPHA / n_rows
    if shared:
        x, y = (np.array([values[caption] for caption in shared]) for values in (of_a, of_b))
        d, n = x - y, len(shared)
        draws = [d[rng.integers(n, size=n)] for _ in range(N_BOOTSTRAP)]
        statistics = {
            "difference": np.mean,
            "median_difference": np.median,
            "win_rate": lambda d: (np.sign(sign * d).mean() + 1) / 2,
        }
        found = {name: (statistic(d), [statistic(draw) for draw in draws]) for name, statistic in statistics.items()}
        p = stats.wilcoxon(d).pvalue
        sums = [sum(stats.rankdata(abs(d[d != 0]))[s * d[d != 0] > 0]) for s in (sign, -sign)]
        rank_effect = (sums[0] - sums[1]) / sum(sums)
        spread, df, root_n = d.std(ddof=1), n - 1, math.sqrt(n)
    else:
        x, y = np.array(list(of_a.values())), np.array(list(of_b.values()))
        n, m = len(x), len(y)
        draws = [(x[rng.integers(n, size=n)], y[rng.integers(m, size=m)]) for _ in range(N_BOOTSTRAP)]

        def wins(x, y):
            return (np.sign(sign * (x[:, None] - y)).mean() + 1) / 2

        statistics = {
            "difference": lambda x, y: np.mean(x) - np.mean(y),
            "median_difference": lambda x, y: np.median(x) - np.median(y),
            "win_rate": wins,
        }
        found = {
            name: (statistic(x, y), [statistic(*draw) for draw in draws]) for name, statistic in statistics.items()
        }
        p, rank_effect = stats.mannwhitneyu(x, y).pvalue, 2 * wins(x, y) - 1
        spread = math.sqrt(((n - 1) * x.var(ddof=1) + (m - 1) * y.var(ddof=1)) / (n + m - 2))
        df, root_n = n + m - 2, math.sqrt(n * m / (n + m))
    t = stats.t.isf(alpha / 2, df)

    def missed(effect: float) -> float:
        """The probability that the two-sided t-test misses an effect; scipy gives NaN for the far tail, which is 0."""
        return np.nan_to_num(stats.nct.cdf(t, df, effect * root_n)) - np.nan_to_num(
            stats.nct.cdf(-t, df, effect * root_n)
        )

    effect = optimize.brentq(lambda effect: missed(effect) - 0.2, 0.01, 3)
    row = {"n_a": len(x), "n_b": len(y), "mean_a": x.mean(), "mean_b": y.mean(), "p": p, "rank_effect": rank_effect}
    row["detectable"] = spread * effect / math.sqrt(3 / math.pi)
    intervals = {}
    for name, (value, values) in found.items():
        row[name] = value
        for end, level in (("low", ALPHA / 2), ("high", 1 - ALPHA / 2)):
            if shared:
                row[f"{name}_{end}"] = np.percentile(values, 100 * level)
            else:  # the resamples are others
                intervals[f"{name}_{end}"] = (np.array(values), level)
    return row, intervals


def test_every_number_is_that_of_a_plain_computation(reports, tmp_path):
    out = tmp_path / "out"
    assert run("compare", *reports, *INFERENCE, "--out", out) == 0
    table = pd.read_csv(out / "comparison.csv")
    tables = {report.name: pd.read_csv(report / "scores.csv") for report in reports}
    pairs = [("first", "second"), ("first", "third"), ("second", "third")]
    metrics = [*METRICS, "squash", "views-8"]
    assert list(zip(table.a, table.b, table.metric, strict=True)) == [
        (*pair, name) for pair in pairs for name in metrics
    ]
    expected = [plain_row(tables[row.a], tables[row.b], row.metric, len(table)) for row in table.itertuples()]
    p_holm = multipletests([row["p"] for row, _ in expected], method="holm")[1]
    for row, (plain, intervals), p in zip(table.to_dict("records"), expected, p_holm, strict=True):
        assert (row["pairing"] == "caption") == ((row["a"], row["b"]) == ("first", "second")) == (not intervals)
        for name, value in plain.items():
            assert row[name] == pytest.approx(value, rel=1e-4, abs=1e-5), (row, name)
        for name, (values, level) in intervals.items():
            slack = 1e-5 * (1 + abs(row[name]))  # the table has six digits
            assert np.mean(values < row[name] - slack) - 0.035 < level < np.mean(values < row[name] + slack) + 0.035, (
                name
            )
        assert row["p_holm"] == pytest.approx(p, rel=1e-4)
        towards_a = plain["difference"] * (-1 if row["metric"] in LOWER_IS_BETTER else 1)
        decided = p < ALPHA and towards_a * plain["rank_effect"] > 0
        assert row["verdict"] == ((row["a"] if towards_a > 0 else row["b"]) if decided else UNDECIDED)
    verdicts = table.set_index(["a", "b", "metric"]).verdict["first", "second"]
    assert set(verdicts[["score", "robust", "worst", "squash", "views-8"]]) == {"second"}
    assert set(verdicts[["seam", "poles"]]) == {UNDECIDED}


def test_the_json_and_the_differences_hold_what_a_page_shows(reports, tmp_path):
    out = tmp_path / "pages" / "comparison"
    (tmp_path / "sets").mkdir()
    Image.new("RGB", (64, 32)).save(tmp_path / "sets" / "a.png")
    summary = json.loads((reports[0] / "summary.json").read_text())
    (reports[0] / "summary.json").write_text(json.dumps(summary | {"images": "../sets"}))
    assert run("compare", *reports, *INFERENCE, "--out", out, "--names", "a <b>", "b", "c") == 0
    content = json.loads((out / "comparison.json").read_text(encoding="utf-8"))
    table, differences = pd.read_csv(out / "comparison.csv"), pd.read_csv(out / "differences.csv")
    rows = pd.DataFrame(content["comparisons"])
    assert rows.columns.tolist() == table.columns.tolist()
    pd.testing.assert_frame_equal(rows.fillna(math.inf), table, check_dtype=False, rtol=1e-5)
    assert [x["name"] for x in content["generators"]] == ["a <b>", "b", "c"]
    for generator, report in zip(content["generators"], reports, strict=True):
        assert (out / generator["report"]).resolve() == report
        assert generator["means"]["seam"]["mean"] == pytest.approx(pd.read_csv(report / "scores.csv").seam.mean())
    assert (out / content["generators"][0]["images"]).resolve() == tmp_path / "sets"
    assert content["generators"][1]["images"] is None, "the summary does not say where they are"
    assert [metric["name"] for metric in content["metrics"]] == table.metric.unique().tolist()
    assert content["metrics"][-1] == {
        "name": "views-8",
        "meaning": "CLIP score of views of views-8",
        "is_protocol": True,
        "lower_is_better": False,
        "visible_above": None,
    }
    better = content["pairs"][0]["better"]
    assert sorted(better["a"] + better["b"] + better["undecided"]) == sorted(table.metric.unique())
    assert set(better["b"]) == set(table.metric[(table.a == "a <b>") & (table.b == "b") & (table.verdict == "b")])
    first, second = (pd.read_csv(report / "scores.csv").set_index("caption") for report in reports[:2])
    assert len(differences) == 25 and (differences.a == "a <b>").all(), "the unpaired pairs have no rows"
    for row in differences.itertuples():
        a, b = first.loc[row.caption], second.loc[row.caption]
        assert (row.image_a, row.image_b) == (a.image, b.image)
        assert row.squash == pytest.approx(a.squash - b.squash, abs=1e-4)
        assert row.seam == pytest.approx(max(a.seam, VISIBLE["seam"]) - max(b.seam, VISIBLE["seam"]), abs=1e-4)


@pytest.fixture
def scored(tmp_path) -> tuple[Path, list[Path], list[Path]]:
    """A model, the tar files of two sets of nine panoramas, dark and light, with the same captions, and their reports."""
    model = tmp_path / "models" / "small"
    small_clip(model, seed=2)  # its scores are positive
    sets, reports = [], []
    for name, shade in (("dark", 0), ("light", 200)):
        members = {}
        for k in range(9):
            members |= {f"{k}.png": png(seed=k, low=shade, high=shade + 56), f"{k}.txt": f"panorama {k}".encode()}
        sets.append(write_tar(tmp_path / f"{name}.tar", members))
        reports.append(tmp_path / "reports" / name)
        options = ["--model", model, "--device", "cpu", "--shifts", 2, "--resamples", 9, "--out", reports[-1]]
        assert run("score", sets[-1], *options) == 0
    return model, sets, reports


def test_distances_are_of_the_panoramas_that_were_scored(scored, tmp_path, capsys):
    class Means(torch.nn.Module):
        def forward(self, images: torch.Tensor) -> torch.Tensor:
            return images.float().mean(dim=[2, 3])

    torch.jit.script(Means()).save(tmp_path / "means.pt")
    model, (dark, light), reports = scored
    options = ["--alpha", 0.3, "--resamples", 50, "--device", "cpu", "--out", tmp_path / "out"]
    capsys.readouterr()
    assert run("compare", *reports, *options, "--features", tmp_path / "means.pt") == 0
    printed = capsys.readouterr().out
    table = pd.read_csv(tmp_path / "out" / "comparison.csv").set_index("metric")
    scores = [pd.read_csv(report / "scores.csv").score for report in reports]
    assert table.difference["score"] == pytest.approx((scores[0] - scores[1]).mean(), rel=1e-4)
    winner = "dark" if scores[0].mean() > scores[1].mean() else "light"
    assert table.verdict["score"] == winner and f"(caption, 9 and 9): {winner} is better" in printed
    distances = pd.read_csv(tmp_path / "out" / "set_distances.csv").set_index(["views", "group"])
    assert distances.value["whole", "whole"] == pytest.approx(3 * 200**2, rel=1e-3)
    assert "frechet of whole, means, light to dark: 1.2e+05" in printed
    files = {path.suffix for path in (tmp_path / "out").iterdir() if path.is_file()}
    assert files == {".csv", ".md", ".tex", ".json", ".html"}

    options += ["--images", dark, light, "--reference", dark, "--model", model, "--groups", "cube"]
    assert run("compare", *reports, *options) == 0
    assert "9 panoramas in 32 dimensions: the covariance is singular" in capsys.readouterr().err
    table = pd.read_csv(tmp_path / "out" / "set_distances.csv")
    value = table[table.group == "mean"].set_index(["distance", "generated"]).value
    assert abs(value["frechet", "dark"]) < 1e-6 < value["frechet", "light"]
    assert value["cmmd", "dark"] < 0 < value["cmmd", "light"]
    rows = json.loads((tmp_path / "out" / "comparison.json").read_text())["set_distances"]
    assert [row["value"] for row in rows] == pytest.approx(table.value.tolist(), rel=1e-5)
    assert run("compare", *reports, "--resamples", 9, "--out", tmp_path / "out") == 0
    assert not (tmp_path / "out" / "set_distances.csv").exists(), "of an earlier comparison"


REPORTS = {  # how the second report differs, and the error
    "no scores": (lambda path: (path / "scores.csv").unlink(), "scores.csv does not exist: run clip360 score first"),
    "no summary": (lambda path: (path / "summary.json").unlink(), "summary.json does not say how .* run clip360 score"),
    "cut summary": (lambda path: (path / "summary.json").write_text('{"mod'), "summary.json does not say how"),
    "other weights": (
        {"model": {"name": "b", "weights_sha256": "b"}},
        "first and .*b were scored with different weights",
    ),
    "other cue": ({"cue": "360 photo"}, "scored with different format cues: score them alike"),
    "other view": ({"protocols": {"shifts": "2" * 8}}, "scored with different view protocols: score"),
    "other protocol": ({"protocols": {"views-8": "2" * 8}}, "scored with different view protocols views-8: score"),
    "a missing column": (scores_of(2, 9).drop(columns="poles"), "the scores of b have no column poles: score its"),
    "no numbers": (scores_of(2, 9, robust=math.nan), "9 values of robust of b are not numbers: score its"),
    "one panorama": (scores_of(2, 1), "b has 1 panoramas: expected at least 2"),
}


@pytest.mark.parametrize("fault", REPORTS)
def test_reports_that_cannot_be_compared_are_refused(reports, tmp_path, capsys, fault):
    change, message = REPORTS[fault]
    b = tmp_path / "b"
    if callable(change):
        change(write_report(b, scores_of(2, 9)))
    elif isinstance(change, pd.DataFrame):
        write_report(b, change)
    else:
        write_report(b, scores_of(2, 9), **change)
    error = error_of(capsys, "compare", reports[0], b, "--out", tmp_path / "out")
    assert re.search(message, error), error
    assert not (tmp_path / "out").exists()


def test_a_baseline_is_compared_with_each_other_generator(reports, tmp_path, capsys):
    assert run("compare", *reports, *INFERENCE, "--baseline", "second", "--out", tmp_path / "out") == 0
    table = pd.read_csv(tmp_path / "out" / "comparison.csv")
    assert table[["a", "b"]].drop_duplicates().values.tolist() == [["second", "first"], ["second", "third"]]
    assert table.p_holm.tolist() == pytest.approx(multipletests(table.p, method="holm")[1], rel=1e-4)
    assert set(pd.read_csv(tmp_path / "out" / "differences.csv").a) == {"second"}
    capsys.readouterr()
    error = error_of(capsys, "compare", *reports, "--baseline", "none", "--out", tmp_path / "out")
    assert error == "baseline is 'none': expected one of first, second, third"


def test_a_protocol_that_not_all_reports_have_is_left_out(reports, tmp_path):
    one = write_report(tmp_path / "one", scores_of(5, 9).drop(columns="squash"))
    assert run("compare", reports[0], one, *INFERENCE, "--out", tmp_path / "out") == 0
    metrics = pd.read_csv(tmp_path / "out" / "comparison.csv").metric.tolist()
    assert metrics == [*METRICS, "views-8"]


def test_errors_of_compare_are_one_sentence(scored, tmp_path, capsys):
    model, sets, reports = scored
    capsys.readouterr()
    images = ["--images", *sets]
    for arguments, message in (
        ([reports[0]], "one report: expected at least 2"),
        ([reports[0], reports[0]], "a report is named twice"),
        ([*reports, "--names", "a"], "--names: 1 names for 2 reports"),
        ([*reports, "--names", "a", "a"], "--names: a name occurs twice"),
        ([*reports, "--alpha", 2], "alpha is 2.0: expected"),
        ([*reports, "--reference", sets[0]], "--reference needs --model or --features"),
        ([*reports, *images[:2], "--model", model], "1 sets of images for 2 reports"),
        ([*reports, *images, "--model", model, "--groups", "cone"], "'cone': expected one of whole, cube, tangent"),
        ([*reports, *images, "--features", model / WEIGHTS], "is no TorchScript file"),
        ([*reports, *images, "--model", model, "--reference", tmp_path / "none"], "none does not exist: expected pano"),
    ):
        assert message in error_of(capsys, "compare", "--out", tmp_path / "out", "--resamples", 2, *arguments)
        capsys.readouterr()
    sets[0].rename(tmp_path / "moved.tar")
    message = "the images of dark are not where they were scored: expected --images"
    assert error_of(capsys, "compare", *reports, "--model", model, "--out", tmp_path / "out") == message
