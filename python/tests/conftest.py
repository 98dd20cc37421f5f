"""Sessions of one, two and three processes, each run once, whose results the tests look at."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from .cases import cases
from .golden import SHARED, THIRTEEN, model_folder

PACKAGE = Path(__file__).resolve().parents[1]


@dataclass(frozen=True)
class Session:
    folder: Path
    results: dict[str, dict[str, Any]]

    def result(self, case: str) -> dict[str, Any]:
        assert case in self.results, f"the session ended before {case}; see {self.folder / 'log.txt'}"
        return self.results[case]

    def done(self, case: str) -> Path:
        """The result folder of a job that went well."""
        assert self.result(case)["ended"] == "done", self.result(case)
        return self.folder / case.replace(" ", "-") / "out"


def environment() -> dict[str, str]:
    return os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(PACKAGE), "HF_HUB_OFFLINE": "1"}


def torchrun(world: int, logs: Path, *arguments: str) -> list[str]:
    launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(world)]
    launcher += ["--log-dir", str(logs)]
    return [*launcher, "-m", *arguments]


@pytest.fixture(scope="session")
def session(tmp_path_factory: pytest.TempPathFactory) -> Callable[[int], Session]:
    known: dict[int, Session] = {}

    def of(world: int) -> Session:
        if world not in known:
            folder = tmp_path_factory.mktemp(f"world-{world}")
            plan = folder / "plan.json"
            plan.write_text(json.dumps(list(cases(world, folder))))
            with open(folder / "log.txt", "w") as log:
                command = torchrun(world, folder / "logs", "tests.session", str(plan))
                subprocess.run(command, env=environment(), cwd=PACKAGE, stdout=log, stderr=log, timeout=1800)
            lines = (folder / "plan.results").read_text().splitlines()
            known[world] = Session(folder, {one["case"]: one for one in map(json.loads, lines)})
        return known[world]

    return of


def pytest_terminal_summary(terminalreporter: Any) -> None:
    missing = [name for name in THIRTEEN if model_folder(name) is None]
    if missing:
        terminalreporter.write_line(f"SKIPPED: {SHARED} is not there, so nothing was compared of {', '.join(missing)}.")
        if os.environ.get("CI") == "true":
            terminalreporter.write_line("With CI=true nothing may be skipped.")
