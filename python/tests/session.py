"""`torchrun … -m tests.session PLAN`: many cases in one group of processes, since importing PyTorch takes seconds.

PLAN is a JSON list; each case is `{"case", "job"}`, a job folder to work on, or `{"case", "golden", "compute"}`, logits and
gradients of a golden model. What came of each stands in a line of `PLAN.results`, by the first process.
"""

import json
import os
import sys
import time
import traceback
from pathlib import Path
from typing import Any
from unittest import mock

import torch

from fusechat_torch.__main__ import run_job
from fusechat_torch.arrays import read_arrays
from fusechat_torch.errors import Failure, InputError, Stopped
from fusechat_torch.group import Group, device_of, join
from fusechat_torch.job import read_job

from .architectures import compare_architecture
from .compare_golden import compare_golden


def outcome(case: dict[str, Any], scratch: Path, group: Group) -> dict[str, Any]:
    if "golden" in case:
        return compare_golden(case["golden"], case["compute"], scratch, group)
    if "architecture" in case:
        try:
            return compare_architecture(case["architecture"], scratch / case["architecture"], group)
        except InputError as error:
            return {"ended": "InputError", "message": str(error)}
    folder = Path(case["job"])
    if case.get("alone"):
        with mock.patch("fusechat_torch.model._shard"):
            return outcome({"case": case["case"], "job": case["job"]}, scratch, group)
    try:
        job = read_job(folder)
        run_job(job, read_arrays(job), group)
    except Stopped:
        return {"ended": "stopped"}
    except (InputError, Failure) as error:
        return {"ended": type(error).__name__, "message": str(error)}
    return {"ended": "done"}


def main(plan: Path) -> None:
    torch.set_num_threads(1)
    group = join(device_of("cpu"))
    results = plan.with_suffix(".results")
    for case in json.loads(plan.read_text()):
        began = time.monotonic()
        try:
            found = outcome(case, plan.parent, group)
        except Exception as error:
            traceback.print_exc()
            found = {"ended": type(error).__name__, "message": str(error)}
        if group.first:
            seconds = round(time.monotonic() - began, 2)
            with results.open("a") as file:
                file.write(json.dumps({"case": case["case"], "seconds": seconds, **found}) + "\n")
        # Cases that fail on one process alone would leave the others waiting.
        if any(end == "broken" for end in group.gathered("broken" if found.get("ended") not in KNOWN else "well")):
            break
    group.barrier()


KNOWN = (None, "done", "stopped", "InputError", "Failure")

if __name__ == "__main__":
    main(Path(sys.argv[1]))
    sys.stdout.flush()
    os._exit(0)
