"""Run the pipeline, stages that do not need each other side by side.

    python -m pipeline.run_parallel [STAGE ...]

Tells everything that is wrong with params.yaml before any stage runs. Then runs each stage that has changed by `dvc repro
--single-item`, as soon as what it needs is done: as many at a time as there are cores for their threads (`compute.threads`).
All stages, or those named with all that they need. Killed and started again, it goes on; a second run waits for the first.
"""

import multiprocessing
import os
import sys
import time
from concurrent.futures import FIRST_COMPLETED, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from graphlib import TopologicalSorter
from pathlib import Path

from dvc.exceptions import DvcException
from dvc.repo import Repo

from pipeline import lane
from pipeline.alone import alone
from pipeline.parameters import PARAMS, sentence, tell
from pipeline.validation import parse, read_text, require_valid


def changed_stages(targets: tuple[str, ...]) -> dict[str, set[str]]:
    """The stages that changed or need one that did, each with those of them that it needs."""
    with Repo() as repo:
        graph = repo.index.graph
        wanted = [stage for target in targets for stage in repo.stage.collect(target)] or list(graph)
        stale = set(repo.status())
        needs: dict[str, set[str]] = {}

        def visit(stage) -> bool:
            """Add what of this stage and of all it needs has to run; must the stage itself?"""
            if stage.addressing not in needs:
                needed = {before.addressing for before in graph.successors(stage) if visit(before)}
                needs[stage.addressing] = needed
                if needed:
                    stale.add(stage.addressing)
            return stage.addressing in stale

        for stage in wanted:
            visit(stage)
    return {stage: needed for stage, needed in needs.items() if stage in stale}


def run(needs: dict[str, set[str]], lanes: int) -> None:
    """Run stages, each after those it needs, in as many processes as lanes."""
    waiting, running, start = TopologicalSorter(needs), {}, time.monotonic()
    waiting.prepare()
    with ProcessPoolExecutor(lanes, multiprocessing.get_context("spawn"), initializer=lane.enter) as pool:
        while waiting.is_active():
            for stage in waiting.get_ready():
                running[pool.submit(lane.reproduce, stage)] = stage
            for future in wait(running, return_when=FIRST_COMPLETED).done:
                stage, (status, printed, taken) = running.pop(future), future.result()
                minutes, seconds = divmod(round(time.monotonic() - start), 60)
                print(f"{minutes:3d}:{seconds:02d}  {taken:4.0f} s  {stage}", flush=True)
                if status:
                    pool.shutdown(cancel_futures=True)
                    sys.exit(printed)
                waiting.done(stage)


def main(*targets: str) -> None:
    params = parse(read_text(PARAMS), PARAMS)
    require_valid(params, PARAMS, inputs=not targets)  # a stage that is named may do without
    threads = params["compute"]["threads"]
    with alone(Path(__file__).stem):
        run(changed_stages(targets), lanes=max(1, (os.cpu_count() or 1) // threads) if threads else 1)


if __name__ == "__main__":
    try:
        tell(main, *sys.argv[1:])
    except BrokenProcessPool:
        sys.exit("A process that runs stages was killed, often for lack of memory: run this again, and it goes on.")
    except DvcException as error:
        sys.exit(sentence(error))
