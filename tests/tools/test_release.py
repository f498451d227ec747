"""A release holds the committed files, byte by byte, and its checksums are right."""

import gzip
import hashlib
import io
import json
import subprocess
import tarfile

import pandas as pd
import pytest

from tests.copies import IDENTITY
from tools import release


@pytest.fixture
def repository(tmp_path, monkeypatch):
    """A repository of three files in the current folder, with one commit."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "pyproject.toml").write_text('[project]\nname = "pans"\nversion = "2.0"\n')
    (tmp_path / ".zenodo.json").write_text('{"version": "2.0"}')
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "b.txt").write_text("b")
    (tmp_path / ".gitignore").write_text("results\n")
    for command in (["init", "--quiet"], ["add", "--all"], ["commit", "--quiet", "--message", "first"]):
        subprocess.run(["git", *IDENTITY, *command], check=True)
    return tmp_path


def test_a_release_is_the_last_commit(repository):
    release.main()
    folder = repository / "results" / "release"
    archive = (folder / "pans-2.0.tar.gz").read_bytes()
    with tarfile.open(fileobj=io.BytesIO(archive)) as members:
        files = {member.name: members.extractfile(member).read() for member in members if member.isfile()}
    tracked = [".gitignore", ".zenodo.json", "a/b.txt", "pyproject.toml"]
    assert files == {f"pans-2.0/{name}": (repository / name).read_bytes() for name in tracked}
    manifest = pd.read_csv(folder / "MANIFEST.csv")
    assert manifest.file.tolist() == tracked
    assert manifest.sha256[2] == hashlib.sha256(b"b").hexdigest() and manifest.bytes[2] == 1
    subprocess.run(["sha256sum", "--check", "--quiet", "SHA256SUMS"], cwd=folder, check=True)
    (folder / "pans-2.0.tar").write_bytes(gzip.decompress(archive))
    subprocess.run(["sha256sum", "--check", "--quiet", "TAR.SHA256SUMS"], cwd=folder, check=True)
    assert json.loads((folder / "zenodo.json").read_text()) == {"version": "2.0"}


def test_a_release_has_the_same_bytes_again(repository):
    release.main()
    archive = repository / "results" / "release" / "pans-2.0.tar.gz"
    first = archive.read_bytes()
    (repository / "a" / "b.txt").touch()
    release.main()
    assert archive.read_bytes() == first


def test_changes_and_another_version_are_refused(repository):
    (repository / "a" / "b.txt").write_text("c")
    with pytest.raises(ValueError, match="1 files are not committed, such as a/b.txt: commit or remove them first"):
        release.main()
    subprocess.run(["git", "checkout", "--quiet", "a/b.txt"], check=True)
    (repository / ".zenodo.json").write_text('{"version": "1.0"}')
    subprocess.run(["git", *IDENTITY, "commit", "--quiet", "--all", "--message", "second"], check=True)
    with pytest.raises(ValueError, match=".zenodo.json: version is 1.0: expected 2.0, as in pyproject.toml"):
        release.main()
