"""A job folder broken in many ways is answered by one sentence each: where, what was expected, what was found."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from fusechat_torch.arrays import check_ids, check_targets, read_arrays
from fusechat_torch.errors import InputError
from fusechat_torch.job import read_job
from fusechat_torch.results import begin

from . import jobs
from .conftest import PACKAGE, environment
from .golden import GOLDEN

Break = Callable[[Path], object]
VOCABULARY = json.loads((GOLDEN / "models/mistral/config.json").read_text(encoding="utf-8"))["vocab_size"]


def setting(**changed: Any) -> Break:
    """None takes the key away."""

    def apply(folder: Path) -> None:
        path = folder / "job.json"
        values = json.loads(path.read_text()) | changed
        path.write_text(json.dumps({key: value for key, value in values.items() if value is not None}))

    return apply


def array(file: str, name: str, change: Callable[[torch.Tensor], torch.Tensor | None]) -> Break:
    def apply(folder: Path) -> None:
        path = folder / f"{file}.safetensors"
        tensors = load_file(path)
        changed = change(tensors.pop(name)) if name in tensors else change(torch.zeros(1))
        if changed is not None:
            tensors[name] = changed.contiguous()
        save_file(tensors, path)

    return apply


def entry(*place: int, value: float) -> Callable[[torch.Tensor], torch.Tensor]:
    def change(tensor: torch.Tensor) -> torch.Tensor:
        tensor[place] = value
        return tensor

    return change


def text(file: str, content: bytes) -> Break:
    return lambda folder: (folder / file).write_bytes(content)


def cut(file: str) -> Break:
    return lambda folder: (folder / file).write_bytes((folder / file).read_bytes()[:-5])


def twice(tensor: torch.Tensor) -> torch.Tensor:
    tensor[2, :2] = 7
    return tensor


LORA = {"rank": 4, "alpha": 8, "targets": ["q_proj"], "seed": 1}

BROKEN: dict[str, tuple[Break, str]] = {
    "no job.json": (lambda folder: (folder / "job.json").unlink(), "{}/job.json: there is no such file"),
    "no JSON": (text("job.json", b'{"format": '), "{}/job.json: expected JSON in UTF-8, found something else ("),
    "no UTF-8": (text("job.json", b'{"format": "\xff"}'), "{}/job.json: expected JSON in UTF-8, found something else ("),
    "a list": (text("job.json", b"[1]"), "{}/job.json: expected a JSON object, found a list"),
    "depth": (text("job.json", b"[" * 100_000), "{}/job.json: expected JSON in UTF-8, found something else ("),
    "another format": (
        setting(format="fusechat-torch-job-2"),
        "{}/job.json: expected format fusechat-torch-job-1, found 'fusechat-torch-job-2'",
    ),
    "another kind": (setting(kind="merge"), "{}/job.json: kind: expected one of rows, train, generate, session, found 'merge'"),
    "a missing key": (setting(epsilon=None), "{}/job.json: epsilon is missing"),
    "an unknown key": (setting(lamda=0.5), "{}/job.json: unknown key 'lamda'; known here are format, kind, model"),
    "a wrong type": (setting(micro_tokens="512"), "{}/job.json: micro_tokens: expected an integer, 1 or more, found '512'"),
    "not a number": (setting(clip_norm=float("nan")), "{}/job.json: clip_norm: expected a number, above 0, found nan"),
    "an impossible number": (setting(**{"lambda": 1.5}), "{}/job.json: lambda: expected a number, 0 or more, at most 1"),
    "impossible betas": (
        setting(betas=[0.9, 1]),
        "{}/job.json: betas: expected two numbers, 0 up to below 1, found [0.9, 1.0]",
    ),
    "another device": (setting(device="tpu"), "{}/job.json: device: expected one of auto, cpu, cuda, mps, found 'tpu'"),
    "no model": (setting(model="models/none"), "{}/job.json: model: expected a folder with a config.json, found none at"),
    "an unknown key of lora": (setting(lora=LORA | {"dropout": 0.1}), "{}/job.json lora: unknown key 'dropout'; known"),
    "lora without targets": (setting(lora=LORA | {"targets": []}), "{}/job.json lora: targets: expected the last names"),
    "no sequences": (
        lambda folder: (folder / "sequences.safetensors").unlink(),
        "{}/sequences.safetensors: there is no such file",
    ),
    "a cut file": (cut("steps.safetensors"), "{}/steps.safetensors: expected a safetensors file, found something else ("),
    "no safetensors": (
        text("targets.safetensors", b"PK\3\4" * 100),
        "{}/targets.safetensors: expected a safetensors file, found something else (",
    ),
    "a file of another job": (
        lambda folder: save_file({"uniform": torch.zeros(1)}, folder / "draws.safetensors"),
        "{}/draws.safetensors: a job of kind train has no such file; is it of another job?",
    ),
    "a missing tensor": (
        array("sequences", "position", lambda _: None),
        "{}/sequences.safetensors: the tensor position is missing",
    ),
    "an unknown tensor": (
        array("sequences", "mask", lambda _: torch.zeros(1)),
        "{}/sequences.safetensors: unknown tensor 'mask'; known here are ids, position, row_start, sequence_start",
    ),
    "another dtype": (
        array("sequences", "ids", lambda ids: ids.long()),
        "{}/sequences.safetensors: ids: expected I32 of 1 dimension, found I64 [",
    ),
    "boundaries that descend": (
        array("sequences", "sequence_start", entry(1, value=10_000)),
        "{}/sequences.safetensors: sequence_start: expected boundaries from 0 to",
    ),
    "a position before its sequence": (
        array("sequences", "position", entry(3, value=0)),
        "{}/sequences.safetensors: position of row 3: expected an index from 1 to",
    ),
    "a position behind its sequence": (
        array("sequences", "position", entry(5, value=9_999)),
        "{}/sequences.safetensors: position of row 5: expected an index from 1 to",
    ),
    "positions that descend": (
        array("sequences", "position", lambda p: torch.cat([p[1:2], p[:1], p[2:]])),
        "{}/sequences.safetensors: position of row 1: expected more than the row before it has",
    ),
    "a negative id": (
        array("sequences", "ids", entry(3, value=-1)),
        "{}/sequences.safetensors: ids: expected 0 or more, found -1",
    ),
    "an id behind the vocabulary": (
        array("sequences", "ids", entry(3, value=70_000)),
        f"{{}}/sequences.safetensors: ids[3] is 70000, and the model's vocabulary has {VOCABULARY} ids",
    ),
    "targets of other rows": (
        array("targets", "target_id", lambda t: t[:-1]),
        "{}/targets.safetensors: target_id and target_probability have different shapes",
    ),
    "a target behind the vocabulary": (
        array("targets", "target_id", entry(4, 0, value=70_000)),
        f"{{}}: target_id of row 4: expected an id from 0 to {VOCABULARY - 1}, found 70000",
    ),
    "a probability above 1": (
        array("targets", "target_probability", entry(4, 1, value=1.5)),
        "{}: target_probability of row 4: expected a number from 0 to 1, found 1.5",
    ),
    "a probability that is no number": (
        array("targets", "target_probability", entry(4, 1, value=float("nan"))),
        "{}: target_probability of row 4: expected a number from 0 to 1, found nan",
    ),
    "a target twice": (
        array("targets", "target_id", twice),
        "{}: target_id of row 2 has an id twice; add its probabilities up",
    ),
    "no targets": (
        lambda folder: (folder / "targets.safetensors").unlink(),
        "{}: lambda is 0.9 and there is no targets.safetensors; without targets it has to be 1",
    ),
    "a gap between targets": (
        lambda folder: (folder / "targets.safetensors").rename(folder / "targets-00001.safetensors"),
        "{}/targets-00001.safetensors: expected targets.safetensors alone, or targets-00000.safetensors and so on without",
    ),
    "a sequence that is not there": (
        array("steps", "batch", entry(0, value=8)),
        "{}/steps.safetensors: batch: expected sequences from 0 to 7, found others",
    ),
    "rates of other steps": (
        array("steps", "learning_rate", lambda r: r[:-1]),
        "{}/steps.safetensors: learning_rate: expected 6 rates, one a step, found 5",
    ),
    "an infinite rate": (
        array("steps", "learning_rate", entry(1, value=float("inf"))),
        "{}/steps.safetensors: learning_rate: expected finite numbers, 0 or more",
    ),
}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return jobs.train_job(tmp_path_factory.mktemp("made") / "job", "qwen2")


def copy(made: Path, folder: Path) -> Path:
    folder.mkdir()
    for file in made.iterdir():
        (folder / file.name).write_bytes(file.read_bytes())
    return folder


def check(folder: Path) -> None:
    job = read_job(folder)
    arrays = read_arrays(job)
    check_ids(job, arrays.sequences, VOCABULARY)
    assert arrays.targets is not None
    check_targets(job, arrays.targets, VOCABULARY)


def test_a_job_as_it_should_be_is_taken(made: Path) -> None:
    check(made)


@pytest.mark.parametrize("way", BROKEN)
def test_broken_it_is_refused_with_a_sentence(tmp_path: Path, made: Path, way: str) -> None:
    apply, sentence = BROKEN[way]
    folder = copy(made, tmp_path / "job")
    apply(folder)
    with pytest.raises(InputError) as refused:
        check(folder)
    message = str(refused.value)
    assert message.startswith(sentence.replace("{}", str(folder))), message
    assert "\n" not in message and len(message) < 400


def broken_model(tmp_path: Path, change: Break) -> Path:
    model = copy(GOLDEN / "models/mistral", tmp_path / "model")
    change(model)
    return jobs.put(
        tmp_path / "job",
        jobs.TRAIN | {"model": "../model", "lambda": 1},
        sequences=jobs.sequences("mistral"),
        steps=jobs.steps([[0]]),
    )


def weights(change: Callable[[dict[str, torch.Tensor]], object]) -> Callable[[Path], None]:
    def apply(model: Path) -> None:
        tensors = load_file(model / "model.safetensors")
        change(tensors)
        save_file(tensors, model / "model.safetensors")

    return apply


def config(**changed: Any) -> Callable[[Path], None]:
    def apply(model: Path) -> None:
        values = json.loads((model / "config.json").read_text())
        (model / "config.json").write_text(json.dumps(values | changed))

    return apply


Q = "model.layers.0.self_attn.q_proj.weight"

MODELS: dict[str, tuple[Break, str]] = {
    "a tensor is missing": (weights(lambda t: t.pop(Q)), "no tensor for layers.0.self_attn.q_proj.weight"),
    "a tensor has another shape": (
        weights(lambda t: t.update({Q: t[Q][:-1].contiguous()})),
        "which does not fit layers.0.self_attn.q_proj.weight",
    ),
    "a tensor is quantised": (
        weights(lambda t: t.update({Q: t[Q].to(torch.int8)})),
        f"{Q} is I8; quantised weights are not read, take the original ones",
    ),
    "a tensor is read by nobody": (
        weights(lambda t: t.update({Q.replace("weight", "bias"): torch.zeros(64)})),
        "the model's class in transformers does not read model.layers.0.self_attn.q_proj.bias; it would be left out",
    ),
    "the whole checkpoint is quantised": (
        config(quantization_config={"quant_method": "fp8"}),
        "the checkpoint is quantised; take the original weights",
    ),
    "an architecture that is not there": (
        config(model_type="mistral9", auto_map={"AutoModel": "run.Evil"}),
        "transformers does not take it as 'mistral9'",
    ),
    "an index that leads away": (
        lambda model: (model / "model.safetensors.index.json").write_text('{"weight_map": {"a": "../../a.safetensors"}}'),
        "weight_map: expected an object from tensors to files of this folder",
    ),
}


@pytest.mark.parametrize("way", MODELS)
def test_a_broken_model_is_refused_with_a_sentence(tmp_path: Path, way: str) -> None:
    from fusechat_torch.__main__ import explain
    from fusechat_torch.decoder import Decoder

    apply, sentence = MODELS[way]
    folder = broken_model(tmp_path, apply)
    job = read_job(folder)
    read_arrays(job)
    with pytest.raises(InputError) as refused:
        Decoder(job.model, torch.float32, recompute=True).tensor_map()
    assert sentence in str(refused.value)
    assert "\n" not in str(refused.value)
    assert explain(folder, refused.value) == 2
    assert json.loads((folder / "error.json").read_text()) == {"code": 2, "message": str(refused.value), "rank": 0}


def test_code_that_a_checkpoint_brings_along_is_not_run(tmp_path: Path) -> None:
    from fusechat_torch.decoder import Decoder

    def evil(model: Path) -> None:
        config(model_type="own", auto_map={"AutoConfig": "own.Config", "AutoModel": "own.Model"})(model)
        (model / "own.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')\nclass Config: pass\nclass Model: pass\n")

    job = read_job(broken_model(tmp_path, evil))
    with pytest.raises(InputError):
        Decoder(job.model, torch.float32, recompute=True)
    assert not (tmp_path / "ran").exists()


def test_a_process_says_why_it_failed_and_ends_with_2(tmp_path: Path, made: Path) -> None:
    folder = copy(made, tmp_path / "job")
    setting(lamda=1)(folder)
    command = [sys.executable, "-m", "fusechat_torch", str(folder)]
    ended = subprocess.run(command, env=environment(), cwd=PACKAGE, capture_output=True, text=True)
    assert ended.returncode == 2
    assert ended.stderr.startswith(f"{folder / 'job.json'}: unknown key 'lamda'; known here are ")
    assert len(ended.stderr.splitlines()) == 1
    assert json.loads((folder / "error.json").read_text())["code"] == 2


def test_a_missing_device_is_told(tmp_path: Path, made: Path) -> None:
    folder = copy(made, tmp_path / "job")
    setting(device="mps")(folder)
    command = [sys.executable, "-m", "fusechat_torch", str(folder)]
    ended = subprocess.run(command, env=environment(), cwd=PACKAGE, capture_output=True, text=True)
    assert ended.returncode == 2
    assert ended.stderr == "device mps: this machine has no such device\n"


def test_another_job_in_the_same_folder_is_refused(tmp_path: Path, made: Path) -> None:
    folder = copy(made, tmp_path / "job")
    begin(read_job(folder))
    setting(micro_tokens=64, checkpoint_steps=3)(folder)
    begin(read_job(folder))
    setting(weight_decay=0.5)(folder)
    with pytest.raises(InputError, match="its results were begun under another job"):
        begin(read_job(folder))


def test_memory_that_is_not_there_is_named(tmp_path: Path) -> None:
    from fusechat_torch.__main__ import explain

    torch_s = torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB. GPU 0 has\nmore lines")
    assert explain(tmp_path, torch_s) == 1
    assert json.loads((tmp_path / "error.json").read_text())["message"] == (
        "out of GPU memory: CUDA out of memory. Tried to allocate 2.00 GiB. GPU 0 has"
    )
