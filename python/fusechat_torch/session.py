"""Kind `session`: one loaded model that works on one request after another, so that a question costs no start.

A request is a job folder of its own inside the session's, `request-00000`, `request-00001`, …, of kind rows or generate;
its `job.json` is written last. A file `stop` in the session's folder ends it, and so does silence: who asks has to write
`alive` anew from time to time, or processes on other machines would wait for ever for one that is gone.
"""

import contextlib
import itertools
import time
from pathlib import Path

from .arrays import check_ids, read_arrays
from .errors import InputError, Stopped
from .generate import run_generate
from .group import Group
from .job import GenerateSettings, Job, read_job
from .journal import asked_to_stop
from .model import Model
from .results import begin, finish
from .rows import run_rows

_POLL_SECONDS = 0.02
#: Between two looks of all processes together; each is short of what a collective operation waits.
_TURN_SECONDS = 1.0
_SILENCE_SECONDS = 600.0


def run_session(job: Job, model: Model, group: Group) -> None:
    heard = _Heard(job.folder / "alive")
    for number in itertools.count():
        folder = job.folder / f"request-{number:05}"
        while not group.any(group.first and _appears(folder, job.folder)):
            if group.any(group.first and (asked_to_stop(job.folder) or heard.silent())):
                return
        _answer(read_job(folder), job, model, group)


def _appears(folder: Path, session: Path) -> bool:
    """Waits a turn for the next request."""
    until = time.monotonic() + _TURN_SECONDS
    while not (folder / "job.json").exists():
        if time.monotonic() > until or asked_to_stop(session):
            return False
        time.sleep(_POLL_SECONDS)
    return True


def _answer(request: Job, session: Job, model: Model, group: Group) -> None:
    if (request.model, request.compute) != (session.model, session.compute) or request.kind not in ("rows", "generate"):
        raise InputError(f"{request.folder}: a request has to be rows or generate, of the session's model and compute")
    arrays = read_arrays(request)
    check_ids(request, arrays.sequences, model.decoder.vocabulary)
    if group.first:
        begin(request)
    group.barrier()
    # Asked to stop, what there is of answers is what was asked for.
    with contextlib.suppress(Stopped):
        run = run_generate if isinstance(request.settings, GenerateSettings) else run_rows
        run(request, arrays, model, group)
    if group.first:
        finish(request)


class _Heard:
    """When a file was last written, by this machine's clock: that of the one who writes may differ."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._seen = 0.0
        self._at = time.monotonic()

    def silent(self) -> bool:
        with contextlib.suppress(OSError):
            changed = self._path.stat().st_mtime
            if changed != self._seen:
                self._seen, self._at = changed, time.monotonic()
        return time.monotonic() - self._at > _SILENCE_SECONDS
