"""The order in which a parallel run takes stages."""

from pipeline import run_parallel


def test_of_the_stages_that_can_run_the_first_in_the_order_of_the_graph_is_taken(monkeypatch, capsys):
    monkeypatch.setattr(run_parallel, "reproduce", lambda stages, lock: (0, "", 0.0))
    run_parallel.run({"train": set(), "score": {"train"}, "figure": {"score"}, "tune": set()}, workers=1, lock=0)
    assert [line.split()[-1] for line in capsys.readouterr().out.splitlines()] == ["train", "score", "figure", "tune"]
