"""The whole pipeline by plain `dvc repro`, at the size of the profile tiny, in a copy of the repository; then nbval on its notebooks."""

import json
import shutil
import subprocess
import sys
import time
from pathlib import Path

import nbformat
import pytest
from ruamel.yaml import YAML

from clip360.models.clip import CONFIGURATION, WEIGHTS
from pipeline.run_replicate import add_seconds
from tests.copies import call, copy_repository, succeeds

FIGURES = Path("results/tiny/figures")
COLUMNS = {  # NOTEBOOK/TABLE: the first columns, which readers of the tables rely on
    "00b_pretraining/pretraining_evaluation": "task,n,chance,",
    "01_textual_probe/cue_tests": "model,image_set,view,generic_cue,n,mean_s,mean_su,W,p,p_holm,effect,ci_low,ci_high,reject,",
    "01_textual_probe/summary": "model,image_set,rejected,effect,effect_on_control,contrast,contrast_low,contrast_high",
    "02_visual_shift_probe/shift_tests": "model,image_set,view,shift,n,beta,median_abs_diff,W,p,p_holm,effect,ci_low,ci_high,stable,",
    "03_statistics/normality": "experiment,model,image_set,compared,n,W,p,normal",
    "03_statistics/verdicts": "experiment,model,image_set,compared,n,paper,holm,sign,interval,equivalent,minimum_n,required_n",
    "05_tradeoff/tradeoff": "model,base_model,method,view,lambda,shift_range,image_set,role,n,",
    "05b_protocol_ablations/protocol_ablations": "ablation,model,image_set,n,score_change,",
    "06_crop_or_model/variance_decomposition": "model,image_set,view,n,sd,sd_low,sd_high,content_sd,content_sd_low,content_sd_high,position_sd,",
    "06_crop_or_model/stability_bounds": "model,image_set,view,control,n,beta,",
    "06_crop_or_model/view_comparison": "model,image_set,view,n_shifts_averaged,passes,n,sd,",
    "06_crop_or_model/findings": "claim,finding,model,finetuning,image_set,measure,value,low,high,verdict",
    "06b_panorama_fraction/trends": "image_set,measure,replicates,rho,minimum,maximum,p,p_holm",
    "07_adaptation_methods/methods": "method_family,model,base_model,method,view,lambda,shift_range,image_set,role,n,",
    "07_adaptation_methods/methods_over_replicates": "method_family,method,replicates,lambdas,passes,trainable_parameters,"
    "images_with_gradient,images_without_gradient,relative_instability,",
    "08_capabilities/zero_shot_classification": "model,view,task,n,top1,top1_single,top5,calibration_error,chance",
    "08_capabilities/fine_grained_attributes": "model,view,measure,subset,n,mean_rank,mean_rank_low,mean_rank_high,chance,advantage",
    "08_capabilities/matching": "model,measure,colour,material,pattern,shape,hard,medium,easy,trivial,sum,image_to_text,text_to_image",
    "08_capabilities/linear_probes": "model,task,n,probe,chance,zero_shot",
    "08_capabilities/viewpoint_consistency": "model,image_set,view,task,level,cosine,scene_category",
    "08b_adaptation_costs/retrieval": "model,view,direction,n,R@1,R@5,R@10,median_rank",
    "08b_adaptation_costs/capability_changes": "model,base_model,method,lambda,shift_range,task,view,n,frozen,finetuned,change,",
    "09_score_your_panoramas/scores": "image,caption,score,robust,spread,worst,worst_yaw,seam",
    "10_claims/claims": "claim,paper,model,finetuning,image_set,measure,tests,value,low,high,verdict,replicates,same_verdict,minimum,maximum",
}


def nbval(folder: Path, *notebooks: Path) -> subprocess.CompletedProcess:
    return call(folder, sys.executable, "-m", "pytest", "--nbval", "-q", "-p", "no:cacheprovider", *map(str, notebooks))


@pytest.fixture(scope="module")
def clone(tmp_path_factory) -> Path:
    """A copy of the repository, with the pipeline run in it as anybody runs it who knows DVC."""
    folder = copy_repository(tmp_path_factory.mktemp("clone"), profile="tiny")
    succeeds(call(folder, "dvc", "repro"))
    return folder


def test_every_notebook_writes_what_it_promises(clone):
    figures = clone / FIGURES
    notebooks = {path.stem for path in (clone / "notebooks").glob("*.ipynb")}
    assert {path.name for path in figures.iterdir()} == notebooks
    assert all((figures / name / f"{name}.ipynb").is_file() for name in notebooks)
    for table, columns in COLUMNS.items():
        assert (figures / f"{table}.csv").read_text().startswith(columns), table
        assert all((figures / f"{table}{suffix}").stat().st_size for suffix in (".md", ".tex"))
    images = {path.relative_to(figures).with_suffix("") for path in figures.glob("*/*.png")}
    assert (
        images == {path.relative_to(figures).with_suffix("") for path in figures.glob("*/*.svg")} and len(images) >= 20
    )
    tests = (figures / "02_visual_shift_probe/shift_tests.md").read_text()
    assert "p_holm" in tests and "| 0 " not in tests  # small p values are not rounded to 0


def test_a_second_run_does_nothing(clone):
    assert "Data and pipelines are up to date." in call(clone, "dvc", "status").stdout
    assert "Running stage" not in call(clone, "dvc", "repro").stdout
    assert not succeeds(call(clone, sys.executable, "-m", "pipeline.run_parallel"))


def test_a_parallel_run_gives_the_same(clone):
    """Of the visual probe, whose scores no cache has any more."""
    lock, measured = (clone / "dvc.lock").read_text(), clone / "results/tiny/measurements/visual_probe"
    shutil.rmtree(measured)
    shutil.rmtree(clone / ".dvc/cache/runs")
    for part in (clone / ".dvc/cache/files").glob("*"):
        shutil.move(part, clone / f"{part.name}.away")
    printed = succeeds(call(clone, sys.executable, "-m", "pipeline.run_parallel", "visual_probe"))
    for part in clone.glob("*.away"):
        shutil.copytree(part, clone / ".dvc/cache/files" / part.stem, dirs_exist_ok=True)
        shutil.rmtree(part)
    assert printed.count("score_probes@") == 4 and "visual_probe" in printed.splitlines()[-1]
    assert (clone / "dvc.lock").read_text() == lock
    assert "Data and pipelines are up to date." in call(clone, "dvc", "status").stdout


@pytest.mark.parametrize("seed", ["1", "2"])
def test_the_order_of_sets_changes_nothing(clone, seed):
    """Python draws it anew in every process."""
    command = (sys.executable, "-m", "pipeline.evaluate_model", "--frozen", "clip_p30")
    succeeds(call(clone, *command, PYTHONHASHSEED=seed))
    assert "Data and pipelines are up to date." in call(clone, "dvc", "status").stdout


def test_rendered_notebooks_come_out_the_same_and_leave_the_same_files(clone):
    checked = nbval(clone, *sorted((clone / FIGURES).glob("*/*.ipynb")))
    assert checked.returncode == 0, checked.stdout[-5000:]
    assert "Data and pipelines are up to date." in call(clone, "dvc", "status").stdout


INTERRUPTED = """
import sys, time
import clip360.finetune.loop as loop
from pipeline.finetune import main
save = loop.Checkpoint.save
def save_and_wait(self, history):
    save(self, history)
    print("epoch", flush=True)
    time.sleep(600)
loop.Checkpoint.save = save_and_wait
main(sys.argv[1])
"""


def test_a_fine_tuning_killed_and_run_again_ends_the_same(clone):
    """SIGKILL after the first epoch: the stage continues, and ends with the same weights, logs and card."""
    run, finetuned = "tiny_p30_attention_l050", clone / "results/tiny/finetuned"
    whole = {path.relative_to(finetuned / run): path.read_bytes() for path in (finetuned / run).rglob("*.*")}
    shutil.rmtree(finetuned / run)
    command = [sys.executable, "-c", INTERRUPTED, run]
    with subprocess.Popen(command, cwd=clone, stdout=subprocess.PIPE, text=True, stderr=subprocess.DEVNULL) as process:
        assert process.stdout.readline() == "epoch\n"
        process.kill()
    assert not (finetuned / run).exists() and len(list((clone / "results/tiny/checkpoints").iterdir())) == 1
    done = call(clone, sys.executable, "-m", "pipeline.finetune", run)
    assert done.returncode == 0 and "| 1/2 " in done.stderr.split("fine-tune")[1], done.stderr[-2000:]
    assert {path.relative_to(finetuned / run): path.read_bytes() for path in (finetuned / run).rglob("*.*")} == whole
    assert not list((clone / "results/tiny/checkpoints").iterdir())


def test_metrics_params_and_plots_are_there(clone):
    assert "holds" in call(clone, "dvc", "metrics", "show").stdout
    params = clone / "params.yaml"
    before = params.read_text()
    params.write_text(before.replace("lr: 0.001,", "lr: 0.002,"))
    assert "finetune.optimisation.lr" in call(clone, "dvc", "params", "diff").stdout
    params.write_text(before)
    assert "index.html" in call(clone, "dvc", "plots", "show").stdout


def test_two_workers_of_a_queue_give_the_same_scores(clone, tmp_path):
    """Each probes a model, in a copy of the repository; the run cache then has what they made (docs/scale.md)."""
    folder, measured = shutil.copytree(clone, tmp_path / "clone", symlinks=True), Path("results/tiny/measurements")
    yaml = YAML()
    lock = yaml.load(folder / "dvc.lock")
    names = succeeds(
        call(folder, "dvc", "stage", "list", "--name-only")
    ).split()  # dvc.lock has those of other profiles too
    probes = [stage for stage in names if stage.startswith("score_probes@")]
    for stage in probes:
        del lock["stages"][stage]
    yaml.dump(lock, folder / "dvc.lock")
    for removed in (measured / "textual_probe", measured / "visual_probe", Path(".dvc/cache/runs")):
        shutil.rmtree(folder / removed)

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
    assert not (folder / measured / "visual_probe").exists()  # they worked elsewhere
    printed = succeeds(call(folder, "dvc", "repro", *probes))
    assert printed.count("is cached - skipping run") == len(probes) == 4
    succeeds(call(folder, "dvc", "queue", "stop", "--kill"))
    written, expected = (
        {path.name: path.read_bytes() for path in (root / measured / "visual_probe").iterdir()}
        for root in (folder, clone)
    )
    assert written == expected and len(written) == len(probes)


def test_a_new_model_is_all_that_is_computed(clone):
    """The new model has the weights of an old one: DVC fetches it, and then runs only its measurements and the notebooks."""
    params, old = clone / "params.yaml", "results/tiny/models/clip_p30"
    before = params.read_text()
    weights = f"weights: {{clip_new: {{architecture: {old}/{CONFIGURATION}, pretrained: {old}/{WEIGHTS}}}}}"
    added = before.replace("models: [clip_p00, clip_p30]", "models: [clip_p00, clip_p30, clip_new]")
    params.write_text(added.replace("weights: {}", weights))
    succeeds(call(clone, "dvc", "repro", "fetch"))
    due = succeeds(call(clone, "dvc", "repro", "--dry"))
    params.write_text(before)
    shutil.rmtree(clone / "results/tiny/models/clip_new")
    stages = [line.split("'")[1].partition("@") for line in due.splitlines() if line.startswith("Running stage")]
    scored = {name for name, _, item in stages if "clip_new" in item}
    assert scored == {"score_probes", "score_view_modes", "evaluate_frozen"}
    others = {name for name, _, item in stages if "clip_new" not in item}
    notebooks = {
        *("pretraining", "textual_probe", "visual_probe", "statistics", "lora", "tradeoff", "protocol_ablations"),
        *("crop_or_model", "panorama_fraction", "adaptation_methods", "capabilities", "adaptation_costs", "claims"),
    }
    assert others <= notebooks | {"evaluate_pretraining", "readme"}


def test_a_fault_in_the_data_is_reported_through_dvc_and_costs_nothing(clone):
    captions = clone / "data/world_indoor/captions.csv"
    before = captions.read_text()
    captions.write_text(before.replace(before.splitlines()[3].split(",")[0], "nowhere.jpg"))
    done = call(clone, "dvc", "repro")
    assert done.returncode != 0
    assert "nowhere.jpg is named in captions.csv, but there is no such" in done.stdout + done.stderr
    assert "Traceback" not in done.stdout + done.stderr
    captions.write_text(before)
    again = call(clone, "dvc", "repro")
    assert again.returncode == 0
    assert "> python -m pipeline.finetune" not in again.stdout and "> python -m pipeline.train_clip" not in again.stdout


def change_number(notebook) -> None:
    output = next(
        o
        for cell in notebook.cells
        for o in cell.get("outputs", [])
        if "256" in o.get("data", {}).get("text/plain", "")
    )
    output.data["text/plain"] = output.data["text/plain"].replace("256", "257", 1)


def change_image(notebook) -> None:
    images = [o for cell in notebook.cells for o in cell.get("outputs", []) if "image/png" in o.get("data", {})]
    images[0].data["image/png"] = images[1].data["image/png"]


def clear(notebook) -> None:
    for cell in notebook.cells:
        if cell.cell_type == "code":
            cell.outputs, cell.execution_count = [], None


@pytest.mark.parametrize(
    ("change", "fault"),
    [(change_number, "Cell outputs differ"), (change_image, "Cell outputs differ"), (clear, "was never run")],
)
def test_a_changed_notebook_fails(clone, change, fault):
    notebook = nbformat.read(clone / FIGURES / "01_textual_probe/01_textual_probe.ipynb", as_version=4)
    change(notebook)
    path = clone / FIGURES / f"{change.__name__}.ipynb"
    nbformat.write(notebook, path)
    checked = nbval(clone, path)
    path.unlink()
    assert checked.returncode == 1 and fault in checked.stdout


@pytest.mark.parametrize(
    ("command", "message"),
    [
        (("score_probes", "clip_p99", "world_indoor"), "params.yaml has no model clip_p99: choose one of clip_p00"),
        (("score_probes", "clip_p00", "world_moon"), "params.yaml has no image set world_moon: choose one of"),
        (("train_clip", "clip_p99"), "has no model clip_p99: choose one of clip_p00"),
        (("finetune", "tiny_p99"), "finetune.runs in params.yaml has no run tiny_p99: choose one of tiny_p30"),
        (("evaluate_model", "--frozen", "clip_p99"), "params.yaml has no model clip_p99"),
        (
            ("render_image_set", "finetuned"),
            "has no set finetuned: choose one of finetune, finetune_moved; did you mean",
        ),
        (("fetch_model", "clip_p99"), "has no model clip_p99: choose one of none, this profile fetches no model"),
        (("run_notebook", "01_textual"), "there is no such notebook: choose one of 00_world"),
        (("run_replicate", "seed9"), "there is no replicate seed9 in params.yaml: choose one of seed1"),
        (("run_parallel", "nowhere"), "nowhere"),
    ],
)
def test_a_script_reports_a_wrong_argument_in_one_sentence(clone, command, message):
    script, *arguments = command
    done = call(clone, sys.executable, "-m", f"pipeline.{script}", *arguments)
    assert done.returncode == 1 and message in done.stderr.splitlines()[-1]
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    "script", sorted(path.stem for path in Path("pipeline").glob("*.py") if "__main__" in path.read_text())
)
def test_a_script_explains_itself(script):
    done = subprocess.run([sys.executable, "-m", f"pipeline.{script}", "--help"], capture_output=True, text=True)
    assert done.returncode == 0 and done.stdout.startswith(f"usage: python -m pipeline.{script} "), done.stderr


def test_a_parameter_out_of_range_is_reported_by_every_stage(clone):
    params = clone / "params.yaml"
    before = params.read_text()
    params.write_text(before.replace("alpha: 0.01", "alpha: 1.5"))
    done = call(clone, "dvc", "repro", "visual_probe")
    params.write_text(before)
    assert done.returncode != 0 and "Traceback" not in done.stdout + done.stderr
    assert "`visual_probe.alpha` is 1.5: expected" in done.stdout + done.stderr
    assert call(clone, "dvc", "repro", "visual_probe").returncode == 0


def test_a_failing_notebook_says_why_in_one_line(clone):
    source, rendered = (
        clone / "notebooks/01_textual_probe.ipynb",
        clone / FIGURES / "01_textual_probe/01_textual_probe.ipynb",
    )
    whole, before = source.read_text(), rendered.read_bytes()
    notebook = nbformat.read(source, as_version=4)
    notebook.cells.append(nbformat.v4.new_code_cell("raise ValueError('the sea is dry')"))
    nbformat.write(notebook, source)
    done = call(clone, sys.executable, "-m", "pipeline.run_notebook", "01_textual_probe")
    source.write_text(whole)
    assert done.returncode == 1
    assert "failed with ValueError: the sea is dry (traceback in " in done.stderr.splitlines()[-1]
    assert rendered.read_bytes() == before and (clone / FIGURES / "01_textual_probe.failed.ipynb").is_file()
    assert "failed" not in call(clone, "git", "status", "--short").stdout


REPLICATE = """
extends: tiny
profile: tiny2
figures: results/tiny2/figures
finetune: {image_set: results/tiny2/image_sets/finetune, offset_image_set: results/tiny2/image_sets/finetune_moved}
own_panoramas: {model: results/tiny2/models/clip_p30}
"""


def test_a_replicate_runs_in_a_copy_and_keeps_its_tables(clone):
    params, kept = clone / "params.yaml", clone / "figures/replicates/tiny2"
    (clone / "profiles/tiny2.yaml").write_text(REPLICATE)
    succeeds(call(clone, "git", "add", "profiles/tiny2.yaml"))
    before = params.read_text()
    params.write_text(before.replace("\nreplicates:\n", "\nreplicates:\n  tiny2: [own_panoramas]\n"))
    succeeds(call(clone, sys.executable, "-m", "pipeline.run_replicate", "tiny2"))
    params.write_text(before)
    table = clone / FIGURES / "09_score_your_panoramas/scores.csv"  # of the same seeds
    assert (kept / "09_score_your_panoramas/scores.csv").read_bytes() == table.read_bytes()
    provenance = json.loads((kept / "provenance.json").read_text())
    commit = succeeds(call(clone, "git", "rev-parse", "HEAD")).strip()
    assert provenance == {"commit": f"{commit}-dirty", "profile": "tiny2", "stages": ["own_panoramas"]}
    shutil.rmtree(kept)
    assert "Data and pipelines are up to date." in call(clone, "dvc", "status").stdout


def test_the_table_of_methods_gets_the_seconds_of_training(tmp_path):
    (tmp_path / "seconds").mkdir()
    (tmp_path / "seconds/a.txt").write_text("12.5\n")
    (tmp_path / "methods.csv").write_text("model,n\na,1\nb,2\n")
    add_seconds(tmp_path / "methods.csv", tmp_path / "seconds")
    assert (tmp_path / "methods.csv").read_text() == "model,n,seconds\na,1,12.5\nb,2,\n"
