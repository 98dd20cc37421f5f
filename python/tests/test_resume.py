"""A training that is killed, stopped or moved goes on: the same bytes on as many processes, the same numbers on others."""

import fcntl
import json
import os
import signal
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from . import jobs
from .conftest import environment, torchrun

STEPS = 24
#: Ten sequences of eight in another order every time.
BATCHES = [[(5 * step + 3 * i + step // 3) % 8 for i in range(5)] for step in range(STEPS)]


def make(folder: Path) -> Path:
    settings = {"checkpoint_steps": 5, "weight_decay": 0.1, "micro_tokens": 200}
    return jobs.train_job(folder, "qwen2", BATCHES, **settings)


def start(job: Path, world: int) -> subprocess.Popen[bytes]:
    log = open(job / "log.txt", "ab")  # noqa: SIM115
    # As the calling program starts it: a group of its own.
    command = torchrun(world, job / "logs", "fusechat_torch", str(job))
    return subprocess.Popen(command, env=environment(), stdout=log, stderr=log, start_new_session=True)


def finish(job: Path, world: int) -> None:
    code = start(job, world).wait(timeout=300)
    assert code == 0, (job / "log.txt").read_text()[-2000:]
    assert (job / "out" / "done.json").exists()


def events(job: Path) -> list[Any]:
    path = job / "events.jsonl"
    lines = path.read_text().splitlines() if path.exists() else []
    return [json.loads(line) for line in lines if line.endswith("}")]


def wait_for_step(job: Path, process: subprocess.Popen[bytes], step: int) -> None:
    deadline = time.monotonic() + 300
    while max((e["step"] for e in events(job) if e["event"] == "step"), default=-1) < step:
        assert process.poll() is None, (job / "log.txt").read_text()[-2000:]
        assert time.monotonic() < deadline
        time.sleep(0.01)


def workers(launcher: int) -> list[int]:
    listed = subprocess.run(["ps", "-o", "pid=,args=", "--ppid", str(launcher)], capture_output=True, text=True).stdout
    return [int(line.split()[0]) for line in listed.splitlines() if "fusechat_torch" in line]


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False


def result(job: Path) -> tuple[bytes, bytes]:
    return (job / "out/model.safetensors").read_bytes(), (job / "out/log.jsonl").read_bytes()


@pytest.fixture(scope="session")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two processes, not interrupted."""
    job = make(tmp_path_factory.mktemp("whole") / "job")
    finish(job, 2)
    return job


@pytest.mark.parametrize("who", ("one process", "all processes", "torchrun"))
def test_killed_and_begun_again_it_ends_with_the_same_bytes(tmp_path: Path, whole: Path, who: str) -> None:
    job = make(tmp_path / "job")
    process = start(job, 2)
    wait_for_step(job, process, 11)
    pids = workers(process.pid)
    assert len(pids) == 2
    if who == "one process":
        os.kill(pids[1], signal.SIGKILL)
    else:
        os.kill(process.pid, signal.SIGKILL)
        for pid in pids if who == "all processes" else []:
            os.kill(pid, signal.SIGKILL)
    assert process.wait(timeout=300) != 0
    began = time.monotonic()
    while any(alive(pid) for pid in pids):  # without their launcher they end by themselves
        assert time.monotonic() < began + 30
        time.sleep(0.05)
    assert not (job / "out" / "done.json").exists()
    finish(job, 2)
    resumed = [e["done"] for e in events(job) if e["event"] == "resumed"]
    assert len(resumed) == 2 and resumed[0] == 0 and resumed[1] >= 10
    assert result(job) == result(whole)


def test_stopped_it_ends_well_and_goes_on_where_it_was(tmp_path: Path, whole: Path) -> None:
    job = make(tmp_path / "job")
    process = start(job, 2)
    wait_for_step(job, process, 6)
    (job / "stop").touch()
    assert process.wait(timeout=300) == 0
    assert events(job)[-1]["event"] == "stopped"
    assert not (job / "out" / "done.json").exists()
    stopped_after = json.loads((job / "checkpoint" / "checkpoint.json").read_text())["step"]
    (job / "stop").unlink()
    finish(job, 2)
    assert [e["done"] for e in events(job) if e["event"] == "resumed"] == [0, stopped_after]
    assert result(job) == result(whole)
    again = events(job)
    finish(job, 2)
    assert events(job) == again, "a finished job has nothing left to do"


def test_gone_on_with_by_three_processes_it_ends_with_the_same_numbers(tmp_path: Path, whole: Path) -> None:
    job = make(tmp_path / "job")
    process = start(job, 2)
    wait_for_step(job, process, 11)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait(timeout=300)
    finish(job, 3)
    one, other = load_file(job / "out/model.safetensors"), load_file(whole / "out/model.safetensors")
    assert max((one[name] - other[name]).abs().max().item() for name in one) < 1e-6
    logs = [[json.loads(line) for line in (j / "out/log.jsonl").read_text().splitlines()] for j in (job, whole)]
    assert max(abs(a["loss"] - b["loss"]) for a, b in zip(*logs, strict=True)) < 1e-6
    assert torch.equal(torch.tensor([a["lr"] for a in logs[0]]), torch.tensor([b["lr"] for b in logs[1]]))


def test_two_launchers_on_one_host_are_one_group(tmp_path: Path, whole: Path) -> None:
    """As on two nodes: each starts one of the two processes."""
    job = make(tmp_path / "job")
    port = 29_000 + os.getpid() % 900
    launchers = []
    for node in range(2):
        rendezvous = ["--rdzv-backend", "c10d", "--rdzv-endpoint", f"127.0.0.1:{port}", "--rdzv-id", "nodes"]
        command = torchrun(1, job / "logs", "fusechat_torch", str(job))
        command.remove("--standalone")
        command[3:3] = ["--nnodes", "2", *rendezvous]
        log = open(job / f"log-{node}.txt", "wb")  # noqa: SIM115
        launchers.append(subprocess.Popen(command, env=environment(), stdout=log, stderr=log))
    assert [launcher.wait(timeout=300) for launcher in launchers] == [0, 0]
    assert result(job) == result(whole)


def test_a_second_run_of_the_same_job_is_kept_out(tmp_path: Path) -> None:
    job = make(tmp_path / "job")
    with open(job / "lock", "w") as lock:  # as a running process holds it
        fcntl.flock(lock, fcntl.LOCK_EX)
        assert start(job, 1).wait(timeout=300) != 0
    told = json.loads((job / "error.json").read_text())
    assert told == {"code": 1, "message": f"{job}: another process works on this job", "rank": 0}
    assert not (job / "out").exists()
    finish(job, 1)
    assert not (job / "error.json").exists()


def test_a_checkpoint_that_is_broken_is_told(tmp_path: Path) -> None:
    job = make(tmp_path / "job")
    process = start(job, 1)
    wait_for_step(job, process, 7)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait(timeout=300)
    (shard,) = (job / "checkpoint").glob("step-*/*.distcp")
    shard.write_bytes(shard.read_bytes()[:1000])
    assert start(job, 1).wait(timeout=300) != 0
    told = json.loads((job / "error.json").read_text())
    assert told["code"] == 1
    assert told["message"].startswith(f"{shard.parent}: the checkpoint cannot be read")
    assert told["message"].endswith(f"remove {job / 'checkpoint'} to begin anew")
