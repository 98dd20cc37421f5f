"""The settings of a job: `job.json`, read and checked whole before anything else happens."""

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from . import FORMAT
from .errors import InputError
from .fields import Fields
from .files import read_object

Kind = Literal["rows", "train", "generate", "session"]
FloatName = Literal["float32", "bfloat16", "float16"]

#: Keys that say how a job is worked on, not what comes out up to rounding: they may change between two starts.
MANNERS = ("device", "micro_tokens", "checkpoint_steps", "shard_bytes")


@dataclass(frozen=True)
class RowsSettings:
    top_k: int
    block: int
    logits: bool
    #: K ids are drawn from each row instead.
    sampled: bool


@dataclass(frozen=True)
class LoraSettings:
    rank: int
    alpha: float
    targets: tuple[str, ...]
    keep: bool
    seed: int

    @property
    def factor(self) -> float:
        return self.alpha / self.rank


@dataclass(frozen=True)
class TrainSettings:
    label_weight: float
    clip_norm: float
    betas: tuple[float, float]
    epsilon: float
    weight_decay: float
    checkpoint_steps: int
    dtype: FloatName
    shard_bytes: int
    lora: LoraSettings | None


@dataclass(frozen=True)
class SessionSettings:
    """None of its own: what is to be done comes with each request."""


@dataclass(frozen=True)
class GenerateSettings:
    max_tokens: int
    stop_ids: frozenset[int]
    temperature: float
    top_k: int
    top_p: float
    #: Ids from there on are never taken; None: no limit but the head.
    vocabulary: int | None
    #: Each id is told as it comes.
    stream: bool


@dataclass(frozen=True)
class Job:
    folder: Path
    kind: Kind
    model: Path
    device: Literal["auto", "cpu", "cuda", "mps"]
    compute: Literal["float32", "bfloat16"]
    micro_tokens: int
    settings: RowsSettings | TrainSettings | GenerateSettings | SessionSettings
    #: Of what decides about the result: two jobs with the same one give the same.
    sha256: str

    @property
    def out(self) -> Path:
        return self.folder / "out"


def read_job(folder: Path) -> Job:
    if not folder.is_dir():
        raise InputError(f"{folder}: expected a job folder, found none")
    values = read_object(folder / "job.json")
    fields = Fields(f"{folder / 'job.json'}", values)
    if fields.text("format") != FORMAT:
        raise InputError(f"{folder / 'job.json'}: expected format {FORMAT}, found {values['format']!r}")
    kinds: tuple[Kind, ...] = ("rows", "train", "generate", "session")
    kind = fields.choice("kind", kinds)
    model = folder / fields.text("model")
    if not (model / "config.json").is_file():
        raise InputError(f"{folder / 'job.json'}: model: expected a folder with a config.json, found none at {model}")
    devices: tuple[Literal["auto", "cpu", "cuda", "mps"], ...] = ("auto", "cpu", "cuda", "mps")
    computes: tuple[Literal["float32", "bfloat16"], ...] = ("float32", "bfloat16")
    device = fields.choice("device", devices, "auto")
    compute = fields.choice("compute", computes)
    micro_tokens = fields.integer("micro_tokens", 1)
    settings: RowsSettings | TrainSettings | GenerateSettings | SessionSettings
    if kind == "rows":
        settings = _rows(fields)
    elif kind == "train":
        settings = _train(fields)
    elif kind == "generate":
        settings = _generate(fields)
    else:
        settings = SessionSettings()
    fields.end()
    return Job(folder, kind, model, device, compute, micro_tokens, settings, _hash(folder, values))


def _rows(fields: Fields) -> RowsSettings:
    return RowsSettings(
        top_k=fields.integer("top_k", 1),
        block=fields.integer("block", 1, default=256),
        logits=fields.flag("logits", False),
        sampled=fields.flag("sampled", False),
    )


def _train(fields: Fields) -> TrainSettings:
    betas = fields.items("betas", float)
    if len(betas) != 2 or not all(0 <= beta < 1 for beta in betas):
        raise InputError(f"{fields.where}: betas: expected two numbers, 0 up to below 1, found {betas}")
    dtypes: tuple[FloatName, ...] = ("float32", "bfloat16", "float16")
    return TrainSettings(
        label_weight=fields.number("lambda", 0, 1),
        clip_norm=fields.number("clip_norm", 0, open_ends=True),
        betas=(betas[0], betas[1]),
        epsilon=fields.number("epsilon", 0, open_ends=True),
        weight_decay=fields.number("weight_decay", 0),
        checkpoint_steps=fields.integer("checkpoint_steps", 0),
        dtype=fields.choice("dtype", dtypes),
        shard_bytes=fields.integer("shard_bytes", 1, default=5_000_000_000),
        lora=_lora(fields.section("lora")),
    )


def _lora(fields: Fields | None) -> LoraSettings | None:
    if fields is None:
        return None
    targets = fields.items("targets", str)
    if not targets:
        raise InputError(f"{fields.where}: targets: expected the last names of linear modules, such as q_proj, found none")
    settings = LoraSettings(
        rank=fields.integer("rank", 1),
        alpha=fields.number("alpha", 0, open_ends=True),
        targets=tuple(targets),
        keep=fields.flag("keep", False),
        seed=fields.integer("seed", 0),
    )
    fields.end()
    return settings


def _generate(fields: Fields) -> GenerateSettings:
    vocabulary = fields.integer("vocabulary", 1, default=2**53)
    return GenerateSettings(
        max_tokens=fields.integer("max_tokens", 1),
        stop_ids=frozenset(fields.items("stop_ids", int)),
        temperature=fields.number("temperature", 0),
        top_k=fields.integer("top_k", 0),
        top_p=fields.number("top_p", 0, 1),
        vocabulary=None if vocabulary == 2**53 else vocabulary,
        stream=fields.flag("stream", False),
    )


def _hash(folder: Path, values: dict[str, Any]) -> str:
    """Of the settings and of all arrays but targets, of which names and sizes count: at 47 million rows they are 7.5 GB."""
    kept = {key: value for key, value in values.items() if key not in MANNERS}
    digest = hashlib.sha256(json.dumps(kept, sort_keys=True).encode())
    for path in sorted(folder.glob("*.safetensors")):
        digest.update(f"\0{path.name}\0{path.stat().st_size}\0".encode())
        if not path.name.startswith("targets"):
            with open(path, "rb") as file:
                while block := file.read(1 << 20):
                    digest.update(block)
    return digest.hexdigest()
