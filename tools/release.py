"""Write a release: an archive of the committed files, with a manifest and checksums, in results/release.

    python -m tools.release

    clip360-VERSION.tar.gz   the files of git's last commit, in a folder clip360-VERSION
    MANIFEST.csv             file, bytes, sha256 of each of them
    SHA256SUMS               of the archive, the manifest and the metadata, as `sha256sum --check` reads them
    TAR.SHA256SUMS           of the tar file in the archive, after `gunzip`
    zenodo.json              the metadata for a DOI, from .zenodo.json

The tar file is the same for the same commit, wherever it is made: its files are in git's order and have the time of the commit. Its compression
depends on the version of zlib, so that the tar file has a checksum of its own. Uncommitted changes are refused.
"""

import argparse
import gzip
import hashlib
import io
import json
import subprocess
import sys
import tarfile
import tomllib
from pathlib import Path

import pandas as pd

from pipeline.error_messages import report

FOLDER, METADATA, MANIFEST = Path("results", "release"), Path(".zenodo.json"), "MANIFEST.csv"


def main(*arguments: str) -> None:
    argparse.ArgumentParser(
        prog="python -m tools.release", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    ).parse_args(arguments)
    project = tomllib.loads(Path("pyproject.toml").read_text(encoding="utf-8"))["project"]
    name = f"{project['name']}-{project['version']}"
    require_committed()
    require_version(project["version"])
    write_release(FOLDER, name, tar_of_commit(name))
    print(FOLDER / f"{name}.tar.gz")


def require_committed() -> None:
    """ValueError where the working tree differs from the last commit: the archive would not hold what is there."""
    changes = git("status", "--porcelain").decode().splitlines()
    if changes:
        raise ValueError(
            f"{len(changes)} files are not committed, such as {changes[0][3:]}: commit or remove them first"
        )


def require_version(version: str) -> None:
    """ValueError where the metadata for the DOI have another version than pyproject.toml."""
    stated = json.loads(METADATA.read_text(encoding="utf-8"))["version"]
    if stated != version:
        raise ValueError(f"{METADATA}: version is {stated}: expected {version}, as in pyproject.toml")


def tar_of_commit(name: str) -> bytes:
    """The files of the last commit as a tar file, in a folder ``name``, with the time of the commit."""
    return git("-c", "tar.umask=0022", "archive", "--format=tar", f"--prefix={name}/", "HEAD")


def write_release(folder: Path, name: str, tar: bytes) -> None:
    """Write the archive of ``tar``, its manifest, the checksums and the metadata to ``folder``."""
    folder.mkdir(parents=True, exist_ok=True)
    files = {
        f"{name}.tar.gz": gzip.compress(tar, mtime=0),
        MANIFEST: manifest(tar).to_csv(index=False, lineterminator="\n").encode(),
        "zenodo.json": METADATA.read_bytes(),
    }
    files["SHA256SUMS"] = "".join(f"{sha256(content)}  {file}\n" for file, content in files.items()).encode()
    files["TAR.SHA256SUMS"] = f"{sha256(tar)}  {name}.tar\n".encode()
    for file, content in files.items():
        (folder / file).write_bytes(content)


def manifest(tar: bytes) -> pd.DataFrame:
    """The files of a tar file in its order: file (without the first folder), bytes, sha256."""
    rows = []
    with tarfile.open(fileobj=io.BytesIO(tar)) as members:
        for member in members:
            if member.isfile():
                content = members.extractfile(member).read()
                rows.append({"file": member.name.partition("/")[2], "bytes": len(content), "sha256": sha256(content)})
    return pd.DataFrame(rows, columns=["file", "bytes", "sha256"])


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def git(*arguments: str) -> bytes:
    """What a command of git prints; RuntimeError with its message where it fails."""
    done = subprocess.run(["git", *arguments], capture_output=True)
    if done.returncode:
        raise RuntimeError(f"git {arguments[0]}: {done.stderr.decode().strip()}")
    return done.stdout


if __name__ == "__main__":
    report(main, *sys.argv[1:])
