"""The repository agrees with itself: pins, parameters of notebooks, dependencies of stages, the README."""

import ast
import re
import subprocess
from functools import cache
from pathlib import Path

import nbformat
import pytest
from ruamel.yaml import YAML

from pipeline.fill_pages import BLOCK, PAGES, fill
from pipeline.parameters import read_params
from pipeline.run_notebook import (
    conditions,
    fill_parameters,
    find_value,
    parameters_source,
    prepare,
    read_parameters_cell,
    remove_traces,
)
from pipeline.run_parallel import dependencies
from tests.copies import environment

NOTEBOOKS = sorted(Path("notebooks").glob("*.ipynb"))
# What checks parameters and reports errors decides whether a stage runs, not what it writes.
NO_DEPENDENCIES = {"__init__", "parameters", "checks", "architectures", "error_messages", "parent"}


def load(path: str | Path) -> dict:
    return YAML(typ="safe").load(Path(path).read_text(encoding="utf-8"))


STAGES = {name: stage.get("do", stage) for name, stage in load("dvc.yaml")["stages"].items()}
RUNNING = [name for name, stage in STAGES.items() if not stage.get("frozen")]  # replicates are frozen


def test_pip_and_conda_install_the_same():
    pip = re.findall(r"^([^#\s]+==\S+)", Path("requirements.txt").read_text(), re.MULTILINE)
    *_, conda = load("environment.yml")["dependencies"]
    assert sorted(pip) == sorted(conda["pip"]) and len(pip) > 100
    lines = [line for name in ("", "-book") for line in Path(f"requirements{name}.txt").read_text().splitlines()]
    unpinned = [line for line in lines if line and "==" not in line and line[0] != "#"]
    assert not unpinned


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_source_notebook_is_clean_and_shows_the_default_parameters(path):
    notebook = nbformat.read(path, as_version=4)
    assert not any(cell.get("outputs") or cell.get("execution_count") for cell in notebook.cells)
    sections = load("profiles/world.yaml") | {"output": f"figures/{path.stem}"}
    for name, (literal, key) in read_parameters_cell(parameters_source(notebook)).items():
        assert ast.literal_eval(literal) == find_value(sections, key), (
            f"{path}: {name} differs from profiles/world.yaml"
        )
    code = "\n".join(cell.source for cell in notebook.cells if cell.cell_type == "code")
    assert code.count("os.chdir(") == 1  # JupyterLab and nbval start a notebook in its own folder


def source_of(path: Path) -> str:
    """The Python source of a module or of a notebook."""
    if path.suffix == ".py":
        return path.read_text(encoding="utf-8")
    cells = nbformat.read(path, as_version=4).cells
    return "\n".join(cell.source for cell in cells if cell.cell_type == "code")


@cache
def imported(path: Path) -> frozenset[Path]:
    """The modules of the project that a module or notebook imports, with the packages that hold them."""
    names = set()
    for node in ast.walk(ast.parse(source_of(path))):
        if isinstance(node, ast.ImportFrom) and node.module:
            names |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
        elif isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
    files = set()
    for package, *rest in (name.split(".") for name in names):
        folder = {"clip360": Path("lib"), "pipeline": Path("pipeline")}.get(package)
        if folder and rest:
            module = folder.joinpath(*rest)
            files |= {file for file in (module.with_suffix(".py"), module / "__init__.py") if file.is_file()}
    return frozenset(files | {file.parent / "__init__.py" for file in files if file.parent.parent.name == "lib"})


def code_run_by(path: Path) -> set[Path]:
    """A script or notebook and all that it imports, directly or not."""
    found, waiting = set(), {path}
    while waiting:
        module = waiting.pop()
        found.add(module)
        if module.parent.name != "pipeline" or module.stem not in NO_DEPENDENCIES:
            waiting |= imported(module) - found
    return found


def scripts_of(command: str) -> list[Path]:
    """The script that a stage's command runs, and the notebook that this script renders."""
    module, *arguments = re.fullmatch(r"python -m pipeline\.(\S+) ?(.*)", command).groups()
    script = Path("pipeline", f"{module}.py")
    return [script] + ([Path("notebooks", f"{arguments[0]}.ipynb")] if module == "run_notebook" else [])


def dependency(module: Path) -> str:
    """What a stage that runs a module depends on: its room of lib/, or the file."""
    return str(module.parent) if module.parts[0] == "lib" and len(module.parts) > 2 else str(module)


@pytest.mark.parametrize("name", RUNNING)
def test_a_stage_depends_on_the_code_that_it_runs_and_on_no_other(name):
    modules = set().union(*(code_run_by(script) for script in scripts_of(STAGES[name]["cmd"])))
    needed = {
        dependency(module)
        for module in modules
        if module.parent.name != "pipeline" or module.stem not in NO_DEPENDENCIES
    }
    declared = {dep for dep in STAGES[name]["deps"] if dep.startswith(("lib/", "pipeline/", "notebooks/"))}
    assert declared == needed


def test_training_depends_on_few_rooms():
    rooms = {dep for dep in STAGES["train"]["deps"] if dep.startswith("lib/")}
    assert rooms <= {"lib/geometry", "lib/data", "lib/models"}
    tuning = {dep for name in ("finetune", "adapt") for dep in STAGES[name]["deps"] if dep.startswith("lib/")}
    assert not tuning & {"lib/world", "lib/evaluation", "lib/stats", "lib/figures"}


@pytest.mark.parametrize("name", RUNNING)
def test_a_stage_names_the_parameters_that_it_reads(name):
    params = STAGES[name]["params"]
    script, *notebooks = scripts_of(STAGES[name]["cmd"])
    assert {key.split(".")[0] for key in params} <= read_params().model_dump().keys()
    if notebooks:
        notebook = nbformat.read(notebooks[0], as_version=4)
        keys = {key.removesuffix(".*") for _, key in read_parameters_cell(parameters_source(notebook)).values()}
        keys = {"figures" if key == "output" else key for key in keys} | conditions(notebook)
        redundant = {key for key in keys for other in keys if key.startswith(f"{other}.")}
        assert set(params) == keys - redundant
        return
    modules = [module for module in code_run_by(script) if module.parent.name == "pipeline"]
    read = set(re.findall(r"\bparams\.(\w+)", "\n".join(map(source_of, modules)))) & read_params().model_dump().keys()
    read_here = set(re.findall(r"\bparams\.(\w+)", source_of(script))) & read_params().model_dump().keys()
    named = {key.split(".")[0] for key in params} - {
        "profile",
        "compute",
    }  # also read by params.results and pipeline/__init__.py
    assert named <= read and read_here <= named | {"profile", "compute"}


def test_the_checksums_are_those_of_all_notebooks_and_pages():
    outputs = {next(iter(out)) for stage in STAGES.values() for out in stage.get("outs", []) if isinstance(out, dict)}
    folders = {out for out in outputs if not Path(out).suffix and "replicates" not in out}
    assert folders <= set(STAGES["checksums"]["deps"])
    assert {Path(out).name for out in folders} == {path.stem for path in NOTEBOOKS} | {"live", "cards"}


def test_every_stage_of_the_lock_file_exists():
    listed = subprocess.run(["dvc", "stage", "list", "--name-only"], capture_output=True, text=True, env=environment())
    assert load("dvc.lock")["stages"].keys() <= set(listed.stdout.split())


def test_make_paper_computes_the_experiments_of_the_paper_alone():
    (targets,) = re.findall(r"^paper: setup\n\t.*run_in_workers (.+)$", Path("Makefile").read_text(), re.MULTILINE)
    graphs = [
        subprocess.run(["dvc", "dag", "--dot", target], capture_output=True, text=True, env=environment()).stdout
        for target in targets.split()
    ]
    kinds = {stage.partition("@")[0] for graph in graphs for stage in dependencies(graph)}
    assert kinds >= {"textual_probe", "visual_probe", "statistics", "lora", "tradeoff", "claims", "finetune"}
    assert not kinds & {"adapt", "evaluate_adapted", "evaluate_training_free", "crop_or_model", "capabilities"}


def test_the_pipeline_can_be_read_at_one_sitting():
    assert len(Path("dvc.yaml").read_text(encoding="utf-8").splitlines()) <= 500 and len(STAGES) < 50
    assert all(stage["desc"] for stage in STAGES.values())


@pytest.mark.parametrize("page", PAGES, ids=str)
def test_pages_show_what_the_pipeline_wrote(page):
    text = page.read_text(encoding="utf-8")
    assert text.count("<!-- end -->") == len(BLOCK.findall(text)) >= 2
    assert fill(text, Path("figures"), page=page) == text
    folders = {match["file"].split("/")[0] for match in BLOCK.finditer(text)}
    assert {f"${{figures}}/{folder}" for folder in folders} <= set(STAGES["pages"]["deps"])


def test_pages_take_tables_values_and_verdicts(tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / "a/t.csv").write_text(
        'model,view,value,low,high,is_best\nx,"own, wide",0.126,0,1,True\nx,squash,-1,,,False\n'
    )
    (tmp_path / "a/t.md").write_text("| a |\n")
    (tmp_path / "a/v.csv").write_text("claim,verdict,mean\nx,holds,1\nx,holds,2\ny,holds,1\ny,refuted,2\n")
    page = Path("README.md")
    assert fill("<!-- a/t.md --><!-- end -->", tmp_path, page=page) == "<!-- a/t.md -->\n| a |\n<!-- end -->"
    for marker, filled in {
        "<!-- a/t.csv: model=x, view=own, wide: value, low, high -->": "0.13 [0.00, 1.00]",
        "<!-- a/t.csv: view=squash: value, low, high -->": "-1.00",
        "<!-- a/v.csv: claim=x: verdict -->": "holds",
        "<!-- a/v.csv: verdict=holds: count -->": "3",
        "<!-- a/t.csv: view=squash: is_best -->": "no",
        "<!-- a/v.csv: verdict=undecided: count -->": "0",
        "<!-- a/v.csv: claim=x: range of mean -->": "1.00 to 2.00",
    }.items():
        assert fill(f"{marker}?<!-- end -->", tmp_path, page=page) == f"{marker}{filled}<!-- end -->"
    for marker, message in {
        "<!-- a/t.csv: model=x: value -->": "2 rows of .*t.csv fit `model=x`: expected 1",
        "<!-- a/t.csv: view=squash: colour -->": ".*t.csv has no column 'colour'",
        "<!-- a/v.csv: claim=y: verdict -->": "2 verdicts of .*v.csv fit `claim=y`: expected 1",
        "<!-- a/v.csv: claim=z: verdict -->": "0 verdicts of .*v.csv fit `claim=z`: expected 1",
    }.items():
        with pytest.raises(ValueError, match=f"README.md: {message}"):
            fill(f"{marker}<!-- end -->", tmp_path, page=page)


def test_parameters_come_from_the_keys_in_the_comments():
    source = 'seed = 1  # probe.seed\nmodels = [\n    "a",\n]  # models.*'
    sections = {"probe": {"seed": 7}, "models": {"b": {}, "c": {}}}
    assert fill_parameters(source, sections) == "seed = 7  # probe.seed\nmodels = ['b', 'c']  # models.*"
    with pytest.raises(ValueError, match="`probe.sed` is no key of params.yaml: correct it; did you mean seed?"):
        fill_parameters("seed = 1  # probe.sed", sections)
    with pytest.raises(ValueError, match="`probe.seed.*` is no section"):
        fill_parameters("seed = [1]  # probe.seed.*", sections)
    for line in ("seed = 1", "seed = 1  # of all draws", "seed = int(1)  # probe.seed"):
        with pytest.raises(ValueError, match="expected `name = literal  # key`, found `seed = "):
            fill_parameters(line, sections)


def test_a_notebook_that_does_not_apply_is_its_title_and_a_sentence():
    cells = [nbformat.v4.new_markdown_cell("# Title\n\nText"), nbformat.v4.new_code_cell("1")]
    notebook = nbformat.v4.new_notebook(cells=cells, metadata={"clip360": {"requires": "training_pictures"}})
    prepare(notebook, {"profile": "paper", "training_pictures": {}}, Path("figures/a"))
    (cell,) = notebook.cells
    sentence = (
        "This notebook needs `training_pictures`, which the profile `paper` leaves empty: there is nothing to show."
    )
    assert cell.source == f"# Title\n\n{sentence}" and cell.id == "cell-01"


def test_what_differs_between_equal_runs_is_removed():
    def run(address: str, seconds: float):
        cell = nbformat.v4.new_code_cell("f", execution_count=1, metadata={"papermill": {"duration": seconds}})
        cell.outputs = [
            nbformat.v4.new_output("stream", name="stderr", text=f"{seconds} s"),
            nbformat.v4.new_output("stream", text="a"),
            nbformat.v4.new_output("stream", text="b"),
            nbformat.v4.new_output("execute_result", {"text/plain": f"<f at {address}>"}, execution_count=1),
        ]
        cell.id = "one"
        notebook = nbformat.v4.new_notebook(cells=[cell], metadata={"papermill": {"start": seconds}})
        remove_traces(notebook)
        return notebook

    assert run("0x7f01", 1.0) == run("0x7f02", 2.0)
    assert [output.output_type for output in run("0x1", 1).cells[0].outputs] == ["stream", "execute_result"]
