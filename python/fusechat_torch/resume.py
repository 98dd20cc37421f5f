"""Checkpoints of a training: all processes write their parts, then one small file says that they are whole.

PyTorch's distributed format reads them back on any number of processes. Two exist while one is written, 24 bytes a
trained parameter; the older is removed once the newer counts.
"""

import os
import shutil
import time
from pathlib import Path

from torch.distributed.checkpoint.api import CheckpointException
from torch.distributed.checkpoint.state_dict_loader import load
from torch.distributed.checkpoint.state_dict_saver import save

from .errors import Failure
from .files import read_object, write_atomic
from .group import Group
from .job import Job
from .journal import tell
from .optimiser import Optimiser


def save_checkpoint(job: Job, optimiser: Optimiser, step: int, group: Group) -> None:
    """After `step` steps. Killed at any point, the checkpoint before it still counts."""
    began = time.monotonic()
    folder = _step_folder(job, step)
    if group.first:
        shutil.rmtree(folder, ignore_errors=True)  # what a kill left of the same step
    group.barrier()
    try:
        save(optimiser.state(), checkpoint_id=str(folder))
    except CheckpointException as error:  # a full disk, say; of one process or another
        raise Failure(f"{folder}: the checkpoint cannot be written ({_last_line(error)})") from error
    group.barrier()
    if group.first:
        with open(job.out / "log.jsonl", "ab") as log:
            os.fsync(log.fileno())
        pointer = f'{{"step": {step}, "optimiser_steps": {optimiser.steps}}}'
        write_atomic(folder.parent / "checkpoint.json", pointer)
        for other in folder.parent.glob("step-*"):
            if other != folder:
                shutil.rmtree(other, ignore_errors=True)
    size = sum(file.stat().st_size for file in folder.iterdir()) if group.first else 0
    tell(job.folder, "checkpoint", step=step, bytes=size, seconds=round(time.monotonic() - began, 3))


def load_checkpoint(job: Job, optimiser: Optimiser, group: Group) -> tuple[int, list[str]]:
    """Steps done, and their lines of the log; 0 and none without a checkpoint."""
    pointer = job.folder / "checkpoint" / "checkpoint.json"
    if not group.any(group.first and pointer.exists()):
        return 0, []
    found = read_object(pointer)
    step, updates = found.get("step"), found.get("optimiser_steps")
    if not isinstance(step, int) or not isinstance(updates, int) or not 0 <= updates <= step:
        raise Failure(f"{pointer}: expected the steps of a checkpoint, found {found}; remove the folder to begin anew")
    folder = _step_folder(job, step)
    try:
        load(optimiser.state(), checkpoint_id=str(folder))
    except (Exception, CheckpointException) as error:  # its reader raises what it meets: missing files, shapes, pickles
        raise Failure(
            f"{folder}: the checkpoint cannot be read ({_last_line(error)}); remove {pointer.parent} to begin anew"
        ) from error
    optimiser.steps = updates
    log = job.out / "log.jsonl"
    kept = log.read_text(encoding="utf-8").splitlines(keepends=True)[:step] if log.exists() else []
    if len(kept) != step:
        raise Failure(f"{log}: expected the lines of {step} steps, as the checkpoint has, found {len(kept)}")
    group.barrier()  # all have read it before the first process cuts it
    return step, kept


def _last_line(error: BaseException) -> str:
    """PyTorch's reader and writer put the cause last, behind the traces of all processes."""
    lines = str(error).strip().splitlines()
    return lines[-1].strip() if lines else type(error).__name__


def remove_checkpoints(job: Job) -> None:
    shutil.rmtree(job.folder / "checkpoint", ignore_errors=True)


def _step_folder(job: Job, step: int) -> Path:
    return job.folder / "checkpoint" / f"step-{step:06}"
