"""`python -m torch.distributed.run … -m fusechat_torch JOB`: one process of a job, or with `python -m` alone the only one."""

import contextlib
import ctypes
import fcntl
import os
import resource
import signal
import sys
import time
import traceback
from collections.abc import Iterator
from pathlib import Path

import torch
import torch.distributed as dist

from .arrays import Arrays, check_ids, check_targets, read_arrays
from .errors import Failure, InputError, Stopped
from .files import first_line
from .group import Group, device_of, join
from .job import Job, read_job
from .journal import asked_to_stop, fail, forget_error, tell, this_rank
from .results import begin, finish


def main(arguments: list[str]) -> int:
    if len(arguments) != 1:
        print("usage: python -m torch.distributed.run [options] -m fusechat_torch JOB", file=sys.stderr)
        return 2
    folder = Path(arguments[0])
    if die_with_parent():
        return 1
    try:
        with locked(folder):
            return work(folder)
    except BaseException as error:
        return explain(folder, error)


def work(folder: Path) -> int:
    job = read_job(folder)
    arrays = None if job.kind == "session" else read_arrays(job)
    group = join(device_of(job.device))
    try:
        run_job(job, arrays, group)
    except Stopped:
        tell(folder, "stopped")
    group.barrier()
    if group.first:
        (folder / "error.json").unlink(missing_ok=True)
    dist.destroy_process_group()
    return 0


def run_job(job: Job, arrays: Arrays | None, group: Group) -> None:
    """From arrays, which a session has none of, to `done.json`. Raises Stopped where asked to stop, InputError and Failure."""
    began = time.monotonic()
    if group.first:
        forget_error(job.folder)
        begin(job)
    if group.any(group.first and (job.out / "done.json").exists()):
        return
    import transformers

    total = 0 if arrays is None else len(arrays.steps.batches) if arrays.steps else arrays.sequences.count
    tell(
        job.folder,
        "start",
        kind=job.kind,
        total=total,
        ranks=group.world,
        device=str(group.device),
        torch=torch.__version__,
        transformers=transformers.__version__,
    )
    # These need transformers, which takes seconds to import: errors of the job itself are told before.
    from .generate import run_generate
    from .model import build
    from .rows import run_rows
    from .session import run_session
    from .train import run_train

    torch.backends.cuda.matmul.allow_tf32 = False
    model = build(job, group)
    if arrays is None:
        run_session(job, model, group)
        return
    check_ids(job, arrays.sequences, model.decoder.vocabulary)
    if arrays.targets and group.first:
        check_targets(job, arrays.targets, model.decoder.vocabulary)
    group.barrier()
    if asked_to_stop(job.folder) and job.kind != "rows":
        raise Stopped
    {"rows": run_rows, "train": run_train, "generate": run_generate}[job.kind](job, arrays, model, group)
    peak = group.largest(_peak_bytes(group.device))
    if group.first:
        finish(job)
    tell(job.folder, "done", seconds=round(time.monotonic() - began, 3), peak_bytes=int(peak))


def _peak_bytes(device: torch.device) -> float:
    """The most this process held, weights and all."""
    if device.type == "cuda":
        return float(torch.cuda.max_memory_reserved())
    used = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return float(used if sys.platform == "darwin" else used * 1024)


def die_with_parent() -> bool:
    """Workers whose torchrun was killed would go on to the end, beside those of the next start. True where it is gone."""
    if sys.platform != "linux" or "TORCHELASTIC_RUN_ID" not in os.environ:
        return False
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG
    return os.getppid() == 1


@contextlib.contextmanager
def locked(folder: Path) -> Iterator[None]:
    """The first process holds the job's lock; it ends with the process, however that ends."""
    if this_rank() != 0 or not folder.is_dir():
        yield
        return
    with open(folder / "lock", "w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise Failure(f"{folder}: another process works on this job") from None
        yield


def explain(folder: Path, error: BaseException) -> int:
    """Says in one sentence why this process failed; the code that it ends with."""
    code = 2 if isinstance(error, InputError) else 1
    if isinstance(error, InputError | Failure):
        message = str(error)
    elif isinstance(error, torch.OutOfMemoryError):
        message = f"out of GPU memory: {first_line(error)}"
    elif isinstance(error, MemoryError) or "can't allocate memory" in str(error):
        message = f"out of memory: {first_line(error)}"
    elif isinstance(error, OSError):
        message = f"{error.filename or folder}: {error.strerror or error}"
    else:
        if isinstance(error, dist.DistError) or "by peer" in str(error):
            time.sleep(5)  # another failed first and says why; torchrun ends this one meanwhile
        message = f"{type(error).__name__}: {first_line(error)}"
        traceback.print_exception(error)
    print(message, file=sys.stderr, flush=True)
    if folder.is_dir():
        fail(folder, code, message)
    return code


if __name__ == "__main__":
    os.environ["HF_HUB_OFFLINE"] = "1"
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    exit_code = main(sys.argv[1:])
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(exit_code)  # threads of NCCL and gloo, and a broken peer, must not hold up the end
