"""Fine-tune as tests/test_finetune.py does, in several processes: BASE TARGETS FOLDER; the first process saves the adapter."""

import sys
from pathlib import Path

from accelerate import PartialState
from tests.test_finetune import WITHOUT_DROPOUT, tuned

from clip360.finetune.lora import save_adapter

if __name__ == "__main__":
    base, targets, folder = sys.argv[1:]
    clip, _ = tuned(Path(base), targets, Path(folder), adapter=WITHOUT_DROPOUT, batch=2)
    assert PartialState().num_processes == 2
    if PartialState().is_main_process:
        save_adapter(clip, Path(folder, "adapter"))
