"""The order in which a parallel run takes stages."""

from pipeline import run_parallel


def test_of_the_stages_that_can_run_the_first_in_the_order_of_the_graph_is_taken(capsys):
    stages = {"train": set(), "score": {"train"}, "figure": {"score"}, "tune": set()}
    run_parallel.run(stages, workers=1, run_stages=lambda stages: (0, "", 0.0))
    assert [line.split()[-1] for line in capsys.readouterr().out.splitlines()] == ["train", "score", "figure", "tune"]
