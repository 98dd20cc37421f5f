"""The beginning and the end of a job folder's results: `begun.json` says what they are of, `done.json` that they are whole."""

import json

from . import FORMAT
from .errors import InputError
from .files import read_object, write_atomic
from .job import Job
from .resume import remove_checkpoints


def begin(job: Job) -> None:
    record = job.folder / "begun.json"
    if record.exists():
        if read_object(record).get("job_sha256") != job.sha256:
            raise InputError(f"{job.folder}: its results were begun under another job; give this one a folder of its own")
    else:
        write_atomic(record, f'{{"format": "{FORMAT}", "job_sha256": "{job.sha256}"}}\n')
    job.out.mkdir(exist_ok=True)


def finish(job: Job) -> None:
    found = sorted(path for path in job.out.rglob("*") if path.is_file() and path.suffix != ".tmp")
    files = {path.relative_to(job.out).as_posix(): path.stat().st_size for path in found}
    write_atomic(job.out / "done.json", json.dumps({"format": FORMAT, "kind": job.kind, "files": files}) + "\n")
    remove_checkpoints(job)
