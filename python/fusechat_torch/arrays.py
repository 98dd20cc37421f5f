"""The arrays of a job: names, types, shapes and values are checked once, then whatever reads them trusts them.

Large ones stay mapped files: of targets, 160 bytes a row, a process reads the rows of its micro-batches.
"""

import itertools
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import torch

from .errors import InputError
from .job import GenerateSettings, Job, RowsSettings, TrainSettings
from .tensor_files import open_tensors, read_header

_TARGET_SHARD = re.compile(r"targets-\d{5}\.safetensors")
#: Rows of targets that are looked at together where their values are checked: 10 MB at 20 places.
_BLOCK = 65_536


class Column:
    """A tensor that one file has, or several cut by rows, in the order of their names."""

    def __init__(self, name: str, parts: list[tuple[Path, int]]) -> None:
        self.name = name
        self._parts = parts
        self._opened = [open_tensors(path).get_slice(name) for path, _ in parts]

    def __len__(self) -> int:
        return sum(rows for _, rows in self._parts)

    def rows(self, first: int, last: int) -> torch.Tensor:
        found: list[torch.Tensor] = []
        before = 0
        for (_, rows), opened in zip(self._parts, self._opened, strict=True):
            low, high = max(first - before, 0), min(last - before, rows)
            if low < high or (first == last and not found):
                found.append(opened[max(low, 0) : max(high, low, 0)])
            before += rows
        return torch.cat(found) if len(found) != 1 else found[0]

    def pick(self, indices: torch.Tensor) -> torch.Tensor:
        """Rows by ascending indices that are mostly runs, so a few slices of a mapped file."""
        if len(indices) == 0:
            return self.rows(0, 0)
        cuts = [0, *(torch.nonzero(indices.diff() != 1)[:, 0] + 1).tolist(), len(indices)]
        runs = itertools.pairwise(cuts)
        return torch.cat([self.rows(int(indices[a]), int(indices[b - 1]) + 1) for a, b in runs])


@dataclass(frozen=True)
class Sequences:
    #: int64 [T]
    ids: torch.Tensor
    #: [N+1]
    start: list[int]
    #: int64 [R]
    position: torch.Tensor
    #: [N+1]
    row_start: list[int]

    @property
    def count(self) -> int:
        return len(self.start) - 1

    def length(self, n: int) -> int:
        return self.start[n + 1] - self.start[n]

    def ids_of(self, n: int) -> torch.Tensor:
        return self.ids[self.start[n] : self.start[n + 1]]

    def positions_of(self, n: int) -> torch.Tensor:
        return self.position[self.row_start[n] : self.row_start[n + 1]]


@dataclass(frozen=True)
class Targets:
    #: I32 [R, W]
    target_id: Column
    #: F32 [R, W]
    target_probability: Column
    #: F32 [R]
    tail_probability: Column | None
    width: int


@dataclass(frozen=True)
class Steps:
    #: Sequences of each step.
    batches: list[list[int]]
    #: [S]
    learning_rates: list[float]


@dataclass(frozen=True)
class Arrays:
    sequences: Sequences
    targets: Targets | None
    steps: Steps | None
    #: float64 [N, max_tokens] of answers, float32 [R] of sampled rows
    draws: torch.Tensor | None


def read_arrays(job: Job) -> Arrays:
    """All but targets' values, which `check_targets` looks at: one process is enough for those."""
    rows = job.kind != "generate"
    sequences = _sequences(_File(job.folder / "sequences.safetensors"), rows)
    targets = steps = draws = None
    expected = {"sequences.safetensors"}
    if isinstance(job.settings, TrainSettings):
        steps = _steps(_File(job.folder / "steps.safetensors"), sequences.count)
        shards = sorted(job.folder.glob("targets*.safetensors"))
        targets = _targets(shards, len(sequences.position)) if shards else None
        if targets is None and job.settings.label_weight != 1:
            raise InputError(
                f"{job.folder}: lambda is {job.settings.label_weight:g} and there is no targets.safetensors; "
                "without targets it has to be 1"
            )
        expected |= {"steps.safetensors", *(path.name for path in shards)}
    if isinstance(job.settings, GenerateSettings) and job.settings.temperature > 0:
        shape = (sequences.count, job.settings.max_tokens)
        draws = _uniform(_File(job.folder / "draws.safetensors"), "F64", shape)
        expected.add("draws.safetensors")
    if isinstance(job.settings, RowsSettings) and job.settings.sampled:
        draws = _uniform(_File(job.folder / "draws.safetensors"), "F32", (len(sequences.position),))
        expected.add("draws.safetensors")
    for path in sorted(job.folder.glob("*.safetensors")):
        if path.name not in expected:
            raise InputError(f"{path}: a job of kind {job.kind} has no such file; is it of another job?")
    return Arrays(sequences, targets, steps, draws)


def check_ids(job: Job, sequences: Sequences, vocabulary: int) -> None:
    """Ids of sequences below the head's width."""
    if len(sequences.ids) and int(sequences.ids.max()) >= vocabulary:
        at = int(torch.nonzero(sequences.ids >= vocabulary)[0, 0])
        raise InputError(
            f"{job.folder / 'sequences.safetensors'}: ids[{at}] is {int(sequences.ids[at])}, "
            f"and the model's vocabulary has {vocabulary} ids"
        )


def check_targets(job: Job, targets: Targets, vocabulary: int) -> None:
    """All values of all targets, block by block: 7.5 GB take seconds, and a training that fails at its end hours."""
    for first, ids, probability, tail in _blocks(targets):
        for name, wrong in (
            ("target_id", (ids < 0) | (ids >= vocabulary)),
            ("target_probability", ~(torch.isfinite(probability) & (probability >= 0) & (probability <= 1))),
            (
                "tail_probability",
                torch.zeros(1) if tail is None else ~(torch.isfinite(tail) & (tail >= 0) & (tail <= 1)),
            ),
        ):
            if wrong.any():
                place = torch.nonzero(wrong)[0]
                row = first + int(place[0])
                expected = f"an id from 0 to {vocabulary - 1}" if name == "target_id" else "a number from 0 to 1"
                found = {"target_id": ids, "target_probability": probability}.get(name, tail)
                assert found is not None
                raise InputError(
                    f"{job.folder}: {name} of row {row}: expected {expected}, found {found[tuple(place.tolist())].item():g}"
                )
        used = torch.where(probability > 0, ids, -1 - torch.arange(ids.shape[1], dtype=ids.dtype))
        repeated = (used.sort(dim=-1).values.diff(dim=-1) == 0).any(-1)
        if repeated.any():
            row = first + int(torch.nonzero(repeated)[0, 0])
            raise InputError(f"{job.folder}: target_id of row {row} has an id twice; add its probabilities up")


def _blocks(targets: Targets) -> Iterator[tuple[int, torch.Tensor, torch.Tensor, torch.Tensor | None]]:
    for first in range(0, len(targets.target_id), _BLOCK):
        last = min(first + _BLOCK, len(targets.target_id))
        tail = None if targets.tail_probability is None else targets.tail_probability.rows(first, last)
        yield first, targets.target_id.rows(first, last), targets.target_probability.rows(first, last), tail


class _File:
    """One file of a job; every tensor in it has to be asked for."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.tensors = read_header(path)
        self._asked: set[str] = set()

    def shape(self, name: str, dtype: str, dimensions: int) -> tuple[int, ...]:
        self._asked.add(name)
        if name not in self.tensors:
            raise InputError(f"{self.path}: the tensor {name} is missing")
        tensor = self.tensors[name]
        if tensor.dtype != dtype or len(tensor.shape) != dimensions:
            expected = f"{dtype} of {dimensions} dimension{'' if dimensions == 1 else 's'}"
            raise InputError(f"{self.path}: {name}: expected {expected}, found {tensor.dtype} {list(tensor.shape)}")
        return tensor.shape

    def whole(self, name: str, dtype: str, dimensions: int) -> torch.Tensor:
        self.shape(name, dtype, dimensions)
        found: torch.Tensor = open_tensors(self.path).get_tensor(name)
        return found

    def starts(self, name: str, total: int, of: str, *, empty: bool) -> list[int]:
        """Boundaries: from 0 to the total, ascending; `empty` allows equal neighbours."""
        found = self.whole(name, "I64", 1)
        good = len(found) > 0 and int(found[0]) == 0 and int(found[-1]) == total
        if not good or bool((found.diff() < (0 if empty else 1)).any()):
            rule = "never descending" if empty else "each above the one before"
            raise InputError(f"{self.path}: {name}: expected boundaries from 0 to {total}, the {of}, {rule}")
        boundaries: list[int] = found.tolist()
        return boundaries

    def end(self) -> None:
        for name in self.tensors:
            if name not in self._asked:
                raise InputError(f"{self.path}: unknown tensor {name!r}; known here are {', '.join(sorted(self._asked))}")


def _sequences(file: _File, rows: bool) -> Sequences:
    ids = file.whole("ids", "I32", 1).to(torch.int64)
    if len(ids) and int(ids.min()) < 0:
        raise InputError(f"{file.path}: ids: expected 0 or more, found {int(ids.min())}")
    start = file.starts("sequence_start", len(ids), "number of ids", empty=False)
    if not rows:
        file.end()
        return Sequences(ids, start, torch.zeros(0, dtype=torch.int64), [0] * len(start))
    position = file.whole("position", "I32", 1).to(torch.int64)
    row_start = file.starts("row_start", len(position), "number of positions", empty=True)
    if len(row_start) != len(start):
        raise InputError(f"{file.path}: row_start has {len(row_start)} entries and sequence_start {len(start)}")
    file.end()
    counts = torch.tensor(row_start).diff()
    last = torch.repeat_interleave(torch.tensor(start).diff(), counts)
    outside = (position < 1) | (position >= last)
    if outside.any():
        row = int(torch.nonzero(outside)[0, 0])
        raise InputError(
            f"{file.path}: position of row {row}: expected an index from 1 to {int(last[row]) - 1}, within its sequence, "
            f"found {int(position[row])}"
        )
    firsts = torch.zeros(len(position) + 1, dtype=torch.bool)
    firsts[torch.tensor(row_start)] = True
    descending = (position.diff() <= 0) & ~firsts[1:-1]
    if descending.any():
        row = int(torch.nonzero(descending)[0, 0]) + 1
        raise InputError(f"{file.path}: position of row {row}: expected more than the row before it has")
    return Sequences(ids, start, position, row_start)


def _targets(shards: list[Path], rows: int) -> Targets:
    single = len(shards) == 1 and shards[0].name == "targets.safetensors"
    for index, path in enumerate(shards):
        if not single and (not _TARGET_SHARD.fullmatch(path.name) or path.name != f"targets-{index:05}.safetensors"):
            raise InputError(
                f"{path}: expected targets.safetensors alone, or targets-00000.safetensors and so on without a gap"
            )
    parts: dict[str, list[tuple[Path, int]]] = {}
    widths, tails = set(), set()
    for path in shards:
        file = _File(path)
        count, width = file.shape("target_id", "I32", 2)
        if file.shape("target_probability", "F32", 2) != (count, width):
            raise InputError(f"{path}: target_id and target_probability have different shapes")
        tails.add("tail_probability" in file.tensors)
        if "tail_probability" in file.tensors and file.shape("tail_probability", "F32", 1) != (count,):
            raise InputError(f"{path}: tail_probability: expected {count} entries, one a row of target_id")
        file.end()
        widths.add(width)
        for name in file.tensors:
            parts.setdefault(name, []).append((path, count))
    if len(widths) != 1 or len(tails) != 1:
        raise InputError(f"{shards[0].parent}: all files of targets need the same width and the same tensors")
    columns = {name: Column(name, found) for name, found in parts.items()}
    if len(columns["target_id"]) != rows:
        found = len(columns["target_id"])
        raise InputError(f"{shards[0].parent}: expected targets for {rows} rows, as positions have, found {found}")
    tail = columns.get("tail_probability")
    return Targets(columns["target_id"], columns["target_probability"], tail, widths.pop())


def _steps(file: _File, count: int) -> Steps:
    batch = file.whole("batch", "I32", 1)
    if len(batch) and not 0 <= int(batch.min()) <= int(batch.max()) < count:
        raise InputError(f"{file.path}: batch: expected sequences from 0 to {count - 1}, found others")
    start = file.starts("batch_start", len(batch), "length of batch", empty=True)
    rates = file.whole("learning_rate", "F64", 1)
    file.end()
    if len(rates) != len(start) - 1:
        raise InputError(f"{file.path}: learning_rate: expected {len(start) - 1} rates, one a step, found {len(rates)}")
    if not bool((torch.isfinite(rates) & (rates >= 0)).all()):
        raise InputError(f"{file.path}: learning_rate: expected finite numbers, 0 or more")
    members = batch.tolist()
    return Steps([members[a:b] for a, b in itertools.pairwise(start)], rates.tolist())


def _uniform(file: _File, dtype: str, shape: tuple[int, ...]) -> torch.Tensor:
    found = file.whole("uniform", dtype, len(shape))
    file.end()
    if found.shape != shape:
        raise InputError(f"{file.path}: uniform: expected shape {list(shape)}, found {list(found.shape)}")
    if not bool(((found >= 0) & (found < 1)).all()):
        raise InputError(f"{file.path}: uniform: expected numbers from 0 up to below 1, found others")
    return found
