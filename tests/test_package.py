"""The package as users install it: a wheel in an environment of its own, what it imports, and what it depends on."""

import ast
import re
import shutil
import subprocess
import sys
import sysconfig
import tomllib
from importlib.metadata import packages_distributions, version
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from packaging.requirements import Requirement
from PIL import Image
from ruamel.yaml import YAML

from tests.small_clips import small_clip

ROOT = Path(__file__).resolve().parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]


def run(*command: object, **options) -> str:
    """What a command prints to stdout; the test fails with its stderr."""
    done = subprocess.run([str(part) for part in command], capture_output=True, text=True, **options)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def environment(tmp_path_factory) -> Path:
    """A virtual environment with the wheel of this package and, of the running one, the dependencies alone."""
    folder = tmp_path_factory.mktemp("package")
    source = folder / "source"  # setuptools writes its build folders next to pyproject.toml
    shutil.copytree(ROOT / "lib", source / "lib", ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source)
    build = ("wheel", "--no-deps", "--no-build-isolation", "--no-index", "--wheel-dir", folder / "wheels", source)
    run(sys.executable, "-m", "pip", *build)
    (wheel,) = (folder / "wheels").glob("clip360-*.whl")
    run(sys.executable, "-m", "venv", "--without-pip", folder / "venv")
    python = folder / "venv" / "bin" / "python"
    run(sys.executable, "-m", "pip", "--python", python, "install", "--no-deps", "--no-index", wheel)
    # Python does not follow .pth files in a folder that a .pth file names: the editable clip360 stays invisible.
    site = Path(run(python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))").strip())
    (site / "dependencies.pth").write_text(f"{sysconfig.get_path('purelib')}\n{sysconfig.get_path('platlib')}\n")
    return folder / "venv"


def test_the_installed_command_scores_a_folder_from_elsewhere(environment, tmp_path):
    small_clip(tmp_path / "model")
    (tmp_path / "set").mkdir()
    pixels = np.random.default_rng(0).integers(0, 256, (32, 64, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(tmp_path / "set" / "a.png")
    pd.DataFrame({"image": ["a.png"], "caption": ["noise"]}).to_csv(tmp_path / "set" / "captions.csv", index=False)
    (tmp_path / "elsewhere").mkdir()
    elsewhere = {"cwd": tmp_path / "elsewhere", "env": {"PATH": "/usr/bin:/bin", "HOME": str(tmp_path)}}
    place = run(environment / "bin" / "python", "-c", "import clip360; print(clip360.__file__)", **elsewhere)
    assert Path(place.strip()).is_relative_to(environment)
    command = ("score", tmp_path / "set", "--model", tmp_path / "model", "--shifts", 2, "--device", "cpu")
    assert run(environment / "bin" / "clip360", *command, **elsewhere).startswith("1 panoramas, mean score")
    page = (tmp_path / "elsewhere" / "report" / "report.html").read_text(encoding="utf-8")
    assert "<h1>CLIP scores of 1 panorama</h1>" in page and page.count("data:image/jpeg;base64,") == 1
    assert pd.read_csv(tmp_path / "elsewhere" / "report" / "scores.csv").image.tolist() == ["a.png"]
    assert run(environment / "bin" / "clip360", "--version", **elsewhere) == f"clip360 {PROJECT['version']}\n"


def test_the_wheel_holds_every_module_and_the_files_of_pages(environment):
    (installed,) = environment.glob("lib/python*/site-packages/clip360")

    def files(folder: Path) -> set[Path]:
        kinds = (".py", ".html", ".css", ".js")
        return {
            path.relative_to(folder) for path in folder.rglob("*") if path.suffix in kinds or path.name == "LICENSE"
        }

    assert files(installed) == files(ROOT / "lib")


@pytest.mark.parametrize(
    "code",
    [
        "import importlib, pkgutil, clip360.stats\n"
        "for module in pkgutil.iter_modules(clip360.stats.__path__, 'clip360.stats.'):\n"
        "    importlib.import_module(module.name)",
        "import contextlib\n"
        "from clip360.cli import main\n"
        "for command in ([], ['score'], ['check']):\n"
        "    with contextlib.suppress(SystemExit):\n"
        "        main([*command, '--help'])",
    ],
    ids=["the modules of stats", "the help"],
)
def test_what_needs_no_network_does_not_load_torch(code):
    loaded = run(sys.executable, "-c", f"{code}\nimport sys\nprint('LOADED', *sys.modules)", cwd="/")
    modules = loaded.split("LOADED")[-1].split()
    assert "argparse" in modules or "clip360.stats.signed_rank" in modules
    assert not {"torch", "open_clip", "torchvision"} & set(modules)


def test_the_help_loads_no_library_at_all():
    """So that it answers at once: pandas alone takes longer than Python."""
    loaded = run(sys.executable, "-c", "import clip360.cli, sys\nprint(*sys.modules)", cwd="/").split()
    assert not {"numpy", "pandas", "matplotlib", "PIL"} & set(loaded)


IN_A_CHILD = """
import importlib, os, sys, torch
for room in sys.argv[1:]:
    child = os.fork()
    if not child:
        importlib.import_module(f"clip360.{room}")
        import torchvision
        import open_clip
        os._exit(0)
    if os.waitpid(child, 0)[1]:
        sys.exit(f"not after {room}")
"""


def test_open_clip_can_be_imported_after_a_room_that_uses_it():
    """Each room in a process of its own that has imported torch."""
    run(sys.executable, "-c", IN_A_CHILD, "models", "scoring", "evaluation", "finetune", cwd="/")


def test_every_dependency_is_installed_in_the_version_asked_for():
    for dependency in map(Requirement, PROJECT["dependencies"]):
        assert dependency.specifier.contains(version(dependency.name), prereleases=True), dependency


def normalised(name: str) -> str:
    """The name of a distribution as PEP 503 compares it."""
    return re.sub(r"[-_.]+", "-", name).lower()


def test_every_import_of_the_package_is_a_dependency():
    declared = {normalised(Requirement(dependency).name) for dependency in PROJECT["dependencies"]}
    distributions = packages_distributions()
    for path in (ROOT / "lib").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [node.module] if isinstance(node, ast.ImportFrom) else []
            for name in {name.partition(".")[0] for name in names} - sys.stdlib_module_names - {"clip360"}:
                assert {normalised(x) for x in distributions[name]} & declared, f"{path} imports {name}"


def test_the_citation_names_the_software_and_the_paper():
    citation = YAML(typ="safe").load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    assert citation["cff-version"] == "1.2.0" and citation["title"].startswith("clip360")
    for paper in (citation["preferred-citation"], *citation["references"]):
        assert [author["family-names"] for author in paper["authors"]] == ["Wang", "Yang", "Dong", "Xue"]
        assert paper["url"].endswith("2604.24642") and paper["year"] == 2026


def test_the_version_is_written_once_and_the_changelog_describes_it():
    assert f"## [{PROJECT['version']}] - " in (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    assert "version" not in YAML(typ="safe").load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
