"""What a job tells while it runs: events, a line a step, and why it ended. Files, for libraries print to the console."""

import contextlib
import json
import os
import time
from pathlib import Path
from typing import Any

STARTED = time.time()
#: An error this much older than the process is of an earlier start. Workers of one launch begin within a second.
_SAME_LAUNCH_SECONDS = 5.0


def this_rank() -> int:
    return int(os.environ.get("RANK", "0"))


def tell(folder: Path, event: str, **facts: Any) -> None:
    """One event, by the first process only."""
    if this_rank() == 0:
        append_line(folder / "events.jsonl", {"time": round(time.time(), 3), "event": event, **facts})


def append_line(path: Path, value: dict[str, Any]) -> None:
    with open(path, "a", encoding="utf-8") as file:
        file.write(json.dumps(value) + "\n")


def fail(folder: Path, code: int, message: str) -> None:
    """The first process that fails says why; the others fail because of it, and keep quiet."""
    path = folder / "error.json"
    forget_error(folder)
    with contextlib.suppress(OSError), open(path, "x", encoding="utf-8") as file:
        json.dump({"code": code, "message": message, "rank": this_rank()}, file)


def forget_error(folder: Path) -> None:
    """Removes the error of an earlier start."""
    path = folder / "error.json"
    with contextlib.suppress(OSError):
        if path.stat().st_mtime < STARTED - _SAME_LAUNCH_SECONDS:
            path.unlink()


def asked_to_stop(folder: Path) -> bool:
    return (folder / "stop").exists()
