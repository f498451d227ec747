"""The whole pipeline, at the size of the profile tiny, in a copy of the repository; then nbval on what it rendered."""

import shutil
import subprocess
import sys
import time
from pathlib import Path

import nbformat
import pytest
from dvc.utils.serialize import dump_yaml, load_yaml

from clip360.models.clip import CONFIGURATION, WEIGHTS
from tests.copies import call, copy_repository, succeeds

RENDERED = Path("results/tiny/figures/notebooks")


CONTRACT = {
    "exam": "task,n,chance,",
    "textual": "model,image_set,view,generic,n,mean_s,mean_su,W,p,p_holm,effect,ci_low,ci_high,reject,",
    "visual": "model,image_set,view,shift,n,beta,median_abs_diff,W,p,p_holm,effect,ci_low,ci_high,stable,",
    "normality": "experiment,model,image_set,compared,n,W,p,normal",
    "verdicts": "experiment,model,image_set,compared,n,paper,holm,sign,interval,equivalent,n_least,n_needed",
    "hazards": "hazard,model,image_set,n,score_change,",
    "own_images": "image,caption,score,robust,spread,worst,worst_yaw,seam",
    "tradeoff": "model,base,strategy,view,lambda,shifts_drawn,image_set,role,n,",
    "roads": "family,model,base,strategy,view,lambda,shifts_drawn,image_set,role,n,",
    "roads_over_worlds": "family,strategy,worlds,weights,passes,trainable,seen,looks,ratio,",
    "decomposition": "model,image_set,view,n,sd,sd_low,sd_high,content,content_low,content_high,own,",
    "bounds": "model,image_set,view,control,n,beta,",
    "ways": "model,image_set,view,averaged,passes,n,sd,",
    "crop_or_model_claims": "claim,finding,model,tuning,image_set,measure,value,low,high,verdict",
    "naming": "model,view,task,n,top1,top1_single,top5,calibration,chance",
    "finding": "model,view,direction,n,R@1,R@5,R@10,median_rank",
    "attributes": "model,view,measure,subset,n,mean_rank,mean_rank_low,mean_rank_high,chance,advantage",
    "matching": "model,measure,colour,material,pattern,shape,hard,medium,easy,trivial,sum,image_to_text,text_to_image",
    "probes": "model,ability,n,probe,chance,zero_shot",
    "viewpoints": "model,image_set,view,ability,at,agreement,setting",
    "abilities": "model,base,strategy,lambda,shifts_drawn,ability,view,n,frozen,tuned,change,change_low,change_high",
    "share_trends": "image_set,measure,worlds,rho,least,most,p,p_holm",
    "claims": "claim,paper,model,tuning,image_set,measure,tests,value,low,high,verdict,seeds,agree,least,most",
}


def nbval(folder: Path, *notebooks: Path) -> subprocess.CompletedProcess:
    return call(folder, sys.executable, "-m", "pytest", "--nbval", "-q", "-p", "no:cacheprovider", *map(str, notebooks))


@pytest.fixture(scope="module")
def clone(tmp_path_factory) -> Path:
    """A copy of the repository, with the pipeline run in it."""
    folder = copy_repository(tmp_path_factory.mktemp("clone"), profile="tiny")
    succeeds(call(folder, sys.executable, "-m", "pipeline.run_parallel"))
    return folder


def test_every_stage_writes_what_it_promises(clone):
    """The columns are a contract: those who read the tables count on them."""
    figures = clone / RENDERED.parent
    for table, columns in CONTRACT.items():
        assert (figures / f"tables/{table}.csv").read_text().startswith(columns)
        assert all((figures / f"tables/{table}{suffix}").stat().st_size for suffix in (".md", ".tex"))
    pictures = {path.stem for path in figures.glob("*.png")}
    assert pictures == {path.stem for path in figures.glob("*.svg")} and len(pictures) >= 20
    p_values = [
        line for path in figures.glob("tables/*.md") for line in path.read_text().splitlines() if "p_holm" in line
    ]
    assert p_values and not any("| 0 " in path.read_text() for path in figures.glob("tables/visual.md"))


def test_a_second_run_does_nothing(clone):
    assert "Data and pipelines are up to date." in call(clone, "dvc", "status").stdout
    assert "Running stage" not in call(clone, "dvc", "repro").stdout
    assert not succeeds(call(clone, sys.executable, "-m", "pipeline.run_parallel"))


@pytest.mark.parametrize("seed", ["1", "2"])
def test_the_order_of_sets_changes_nothing(clone, seed):
    """Python draws it anew in every process."""
    succeeds(
        call(clone, sys.executable, "-m", "pipeline.evaluate_capabilities", "--frozen", "clip_p30", PYTHONHASHSEED=seed)
    )
    assert "Data and pipelines are up to date." in call(clone, "dvc", "status").stdout


def test_rendered_notebooks_come_out_the_same_and_leave_the_same_files(clone):
    """Training too: nbval runs it again, and DVC then finds every weight as it was."""
    checked = nbval(clone, *sorted((clone / RENDERED).glob("*.ipynb")))
    assert checked.returncode == 0, checked.stdout[-5000:]
    assert "Data and pipelines are up to date." in call(clone, "dvc", "status").stdout


INTERRUPTED = """
import sys, time
from pathlib import Path
import clip360
import clip360.finetune.loop as loop
from pipeline.finetune import main
save = loop._Checkpoint.save
def save_and_wait(self, history):
    save(self, history)
    print("epoch", flush=True)
    time.sleep(600)
loop._Checkpoint.save = save_and_wait
main(sys.argv[1])
"""


def test_a_fine_tuning_killed_and_run_again_ends_the_same(clone):
    """SIGKILL after the first epoch: the stage continues, and ends with the same weights, logs and card."""
    run, adapters = "tiny_p30_attention_l050", clone / "results/tiny/adapters"
    whole = {path.relative_to(adapters / run): path.read_bytes() for path in (adapters / run).rglob("*.*")}
    shutil.rmtree(adapters / run)
    command = [sys.executable, "-c", INTERRUPTED, run]
    with subprocess.Popen(command, cwd=clone, stdout=subprocess.PIPE, text=True, stderr=subprocess.DEVNULL) as process:
        assert process.stdout.readline() == "epoch\n"
        process.kill()
    assert not (adapters / run).exists() and len(list((clone / "results/tiny/checkpoints").iterdir())) == 1
    done = call(clone, sys.executable, "-m", "pipeline.finetune", run)
    assert done.returncode == 0 and "| 1/2 " in done.stderr.split("fine-tune")[1], done.stderr[-2000:]
    assert {path.relative_to(adapters / run): path.read_bytes() for path in (adapters / run).rglob("*.*")} == whole
    assert not list((clone / "results/tiny/checkpoints").iterdir())


def test_metrics_params_and_plots_are_there(clone):
    assert "holds" in call(clone, "dvc", "metrics", "show").stdout
    params = clone / "params.yaml"
    before = params.read_text()
    params.write_text(before.replace("rate: 0.001", "rate: 0.002"))
    assert "finetune.optimisation.rate" in call(clone, "dvc", "params", "diff").stdout
    params.write_text(before)
    assert "index.html" in call(clone, "dvc", "plots", "show").stdout


def test_two_workers_of_a_queue_give_the_same_scores(clone, tmp_path):
    """Each probes a model, in a copy of the repository; the run cache then has what they made (docs/scale.md)."""
    folder, scores = shutil.copytree(clone, tmp_path / "clone", symlinks=True), Path("results/tiny/scores")
    lock = load_yaml(folder / "dvc.lock")
    probes = [stage for stage in lock["stages"] if stage.startswith("score_probes@tiny")]
    for stage in probes:
        del lock["stages"][stage]
    dump_yaml(folder / "dvc.lock", lock)
    for forgotten in (scores / "textual", scores / "visual", Path(".dvc/cache/runs")):
        shutil.rmtree(folder / forgotten)

    def status() -> str:
        return succeeds(call(folder, "dvc", "queue", "status"))

    for model in ("clip_p00", "clip_p30"):
        stages = [stage for stage in probes if model in stage]
        succeeds(call(folder, "dvc", "exp", "run", "--queue", "--name", model, *stages))
    succeeds(call(folder, "dvc", "queue", "start", "--jobs", "2"))
    end = time.monotonic() + 600
    while time.monotonic() < end and ("Queued" in status() or "Running" in status()):
        time.sleep(1)
    assert status().count("Success") == 2
    assert not (folder / scores / "visual").exists()  # they worked elsewhere
    told = succeeds(call(folder, "dvc", "repro", *probes))
    assert told.count("is cached - skipping run") == len(probes) == 4
    succeeds(call(folder, "dvc", "queue", "stop", "--kill"))
    made, expected = (
        {path.name: path.read_bytes() for path in (where / scores / "visual").iterdir()} for where in (folder, clone)
    )
    assert made == expected and len(made) == len(probes)


def test_a_new_model_is_all_that_is_computed(clone):
    """The new model here has the weights of an old one: it is fetched, and then only its scores and notebooks are due."""
    params, old = clone / "params.yaml", "results/tiny/models/clip_p30"
    before = params.read_text()
    weights = f"weights: {{clip_new: {{architecture: {old}/{CONFIGURATION}, pretrained: {old}/{WEIGHTS}}}}}"
    added = before.replace("models: [clip_p00, clip_p30]", "models: [clip_p00, clip_p30, clip_new]")
    params.write_text(added.replace("weights: {}", weights))
    succeeds(call(clone, "dvc", "repro", "fetch"))
    due = succeeds(call(clone, "dvc", "repro", "--dry"))
    params.write_text(before)
    shutil.rmtree(clone / "results/tiny/models/clip_new")
    stages = [line.split("'")[1].split("@") for line in due.splitlines() if line.startswith("Running stage")]
    scored = {name for name, item in stages if "clip_new" in item}
    assert scored == {"score_probes", "score_frozen", "score_views", "measure_frozen"}
    others = {name for name, item in stages if "clip_new" not in item}
    notebooks = {
        "world",
        "textual_probe",
        "visual_probe",
        "statistics",
        "lora",
        "tradeoff",
        "crop_or_model",
        "shares",
        "roads",
        "abilities",
        "costs",
    }
    assert others <= notebooks | {"claims", "readme"}


def test_a_fault_in_the_data_is_told_through_dvc_and_costs_nothing(clone):
    captions = clone / "data/world_indoor/captions.csv"
    before = captions.read_text()
    captions.write_text(before.replace(before.splitlines()[3].split(",")[0], "nowhere.jpg"))
    done = call(clone, "dvc", "repro")
    assert done.returncode != 0
    assert "nowhere.jpg is named in captions.csv, but there is no such" in done.stdout + done.stderr
    assert "Traceback" not in done.stdout + done.stderr
    captions.write_text(before)
    again = call(clone, "dvc", "repro")
    assert again.returncode == 0 and "pipeline.finetune" not in again.stdout and "00b_train" not in again.stdout


def change_number(notebook) -> None:
    output = next(
        o
        for cell in notebook.cells
        for o in cell.get("outputs", [])
        if "256" in o.get("data", {}).get("text/plain", "")
    )
    output.data["text/plain"] = output.data["text/plain"].replace("256", "257", 1)


def change_picture(notebook) -> None:
    pictures = [o for cell in notebook.cells for o in cell.get("outputs", []) if "image/png" in o.get("data", {})]
    pictures[0].data["image/png"] = pictures[1].data["image/png"]


def clear(notebook) -> None:
    for cell in notebook.cells:
        if cell.cell_type == "code":
            cell.outputs, cell.execution_count = [], None


@pytest.mark.parametrize(
    ("change", "fault"),
    [(change_number, "Cell outputs differ"), (change_picture, "Cell outputs differ"), (clear, "was never run")],
)
def test_a_changed_notebook_fails(clone, change, fault):
    notebook = nbformat.read(clone / RENDERED / "01_textual_probe.ipynb", as_version=4)
    change(notebook)
    path = clone / RENDERED / f"{change.__name__}.ipynb"
    nbformat.write(notebook, path)
    checked = nbval(clone, path)
    path.unlink()
    assert checked.returncode == 1 and fault in checked.stdout


@pytest.mark.parametrize(
    ("command", "fault"),
    [
        (
            ("score_probes", "clip_p99", "world_indoor"),
            "there is no model clip_p99 in params.yaml: choose one of clip_p00",
        ),
        (("score_probes", "clip_p00", "world_moon"), "world_moon/captions.csv does not exist"),
        (("finetune", "tiny_p99"), "there is no run tiny_p99 in params.yaml: choose one of tiny_p30"),
        (("score_tradeoff", "--frozen", "clip_p99"), "there is no model clip_p99"),
    ],
)
def test_a_stage_tells_a_fault_in_one_sentence(clone, command, fault):
    stage, *arguments = command
    done = call(clone, sys.executable, "-m", f"stages.{stage}", *arguments)
    assert done.returncode == 1 and fault in done.stderr.splitlines()[-1]
    assert "Traceback" not in done.stderr


def test_a_parameter_out_of_range_is_told_through_papermill_and_dvc(clone):
    params = clone / "params.yaml"
    before = params.read_text()
    params.write_text(before.replace("alpha: 0.01", "alpha: 1.5"))
    done = call(clone, "dvc", "repro", "visual_probe")
    assert done.returncode != 0 and "Traceback" not in done.stdout + done.stderr
    assert "alpha is 1.5: expected a number between 0 and 1" in done.stdout + done.stderr
    params.write_text(before)
    assert call(clone, "dvc", "repro", "visual_probe").returncode == 0


def test_a_failing_notebook_says_why_in_one_line(clone):
    notebook = nbformat.read(clone / "notebooks/01_textual_probe.ipynb", as_version=4)
    notebook.cells.append(nbformat.v4.new_code_cell("raise ValueError('the sea is dry')"))
    nbformat.write(notebook, clone / "broken.ipynb")
    before = (clone / RENDERED / "01_textual_probe.ipynb").read_bytes()
    done = call(
        clone, sys.executable, "-m", "pipeline.run_notebook", "broken.ipynb", str(RENDERED / "01_textual_probe.ipynb")
    )
    assert done.returncode == 1
    assert "ValueError: the sea is dry" in done.stderr.splitlines()[-1]
    assert (clone / RENDERED / "01_textual_probe.ipynb").read_bytes() == before
