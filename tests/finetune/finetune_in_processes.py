"""Fine-tune as tests/finetune/test_finetune.py does, in several processes: BASE FOLDER TARGETS [TARGETS ...].

The main process saves the adapter of each to FOLDER/TARGETS.
"""

import sys
from pathlib import Path

from accelerate import PartialState

from clip360.finetune.lora import save_adapter
from tests.finetune.test_finetune import WITHOUT_DROPOUT, finetuned

if __name__ == "__main__":
    base, folder, *all_targets = sys.argv[1:]
    for targets in all_targets:
        clip, _ = finetuned(Path(base), targets, Path(folder), lora=WITHOUT_DROPOUT, batch_size=2)
        assert PartialState().num_processes == 2
        if PartialState().is_main_process:
            save_adapter(clip, Path(folder, targets))
