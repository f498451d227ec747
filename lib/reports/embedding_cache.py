"""Embeddings on disk, by the content that they were computed of: safetensors files, one for each batch.

    FOLDER/MODEL/SHA256.safetensors    MODEL: digest of weights and architecture; SHA256: digest of the file itself
        digests    uint8 [N, 32]       SHA-256 of pixels or texts
        NAME       float32 [N, D]      their embeddings under the input or text encoder of that name

A file is written complete or not at all. One whose content does not have the digest in its name is damaged: a warning is
printed, it is removed, and its embeddings are computed again.
"""

import hashlib
import os
import sys
from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path

import torch
from safetensors.torch import load, save
from torch import Tensor

from clip360.models.clip import Clip
from clip360.reports.view_protocols import weights_sha256

DIGESTS, SUFFIX = "digests", ".safetensors"
OPEN_FILES = 16  # files held in memory at once


class EmbeddingCache:
    """The embeddings of one model in a folder; memory holds where each of them lies, and the files that were read last."""

    def __init__(self, folder: str | Path, clip: Clip, weights: str | None = None):
        """``weights`` is the model's ``weights_sha256``, for callers that have computed it."""
        # The architecture counts too: the same weights with another activation embed differently.
        model = hashlib.sha256(f"{weights or weights_sha256(clip)} {clip.network!r}".encode()).hexdigest()[:16]
        self.folder = Path(folder, model)
        self.folder.mkdir(parents=True, exist_ok=True)
        self._places: dict[tuple[str, str], tuple[Path, int]] = {}
        self._read = lru_cache(OPEN_FILES)(_read)
        for path in sorted(self.folder.glob(f"*{SUFFIX}")):
            tensors = _read(path)
            if tensors is None:
                print(f"{path} is damaged: its embeddings are computed again", file=sys.stderr)
                path.unlink(missing_ok=True)
            else:
                self._index(path, tensors)

    def _index(self, path: Path, tensors: Mapping[str, Tensor]) -> None:
        digests = [bytes(row.tolist()).hex() for row in tensors[DIGESTS]]
        names = tensors.keys() - {DIGESTS}
        self._places |= {(digest, name): (path, row) for row, digest in enumerate(digests) for name in names}

    def get(self, digest: str, name: str) -> Tensor | None:
        """The embedding [D] of the content with this SHA-256 under the input ``name``; None where there is none."""
        place = self._places.get((digest, name))
        if place is None:
            return None
        path, row = place
        tensors = self._read(path)
        return None if tensors is None else tensors[name][row]

    def add(self, digests: Sequence[str], embeds: Mapping[str, Tensor]) -> None:
        """Keep the embeddings [N, D] of N contents, by the names of their inputs."""
        tensors = {name: embed.contiguous() for name, embed in embeds.items()}
        tensors[DIGESTS] = torch.tensor([list(bytes.fromhex(digest)) for digest in digests], dtype=torch.uint8)
        content = save(tensors)
        path = self.folder / f"{hashlib.sha256(content).hexdigest()}{SUFFIX}"
        temporary = path.with_suffix(f".{os.getpid()}.partial")
        temporary.write_bytes(content)
        os.replace(temporary, path)
        self._index(path, tensors)


def _read(path: Path) -> dict[str, Tensor] | None:
    """The tensors of a file; None where its content is not that which was written."""
    try:
        content = path.read_bytes()
    except OSError:
        return None
    if hashlib.sha256(content).hexdigest() != path.stem:
        return None
    tensors = load(content)
    return tensors if DIGESTS in tensors else None
