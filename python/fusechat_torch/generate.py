"""Kind `generate`: one answer a prompt. Every process makes the same number of calls, as weights are gathered in each."""

import json
import time
from collections.abc import Callable
from pathlib import Path

import torch

from .arrays import Arrays
from .attention import Cache, Context
from .errors import Stopped
from .files import write_atomic
from .group import Group
from .job import GenerateSettings, Job
from .journal import asked_to_stop, tell
from .model import Model
from .packs import Pack, rounds


@torch.no_grad()
def run_generate(job: Job, arrays: Arrays, model: Model, group: Group) -> None:
    settings, sequences = job.settings, arrays.sequences
    assert isinstance(settings, GenerateSettings)
    room = [sequences.length(n) + settings.max_tokens for n in range(sequences.count)]
    answers: dict[int, list[int]] = {n: [] for n in range(sequences.count)}
    done, stopped = 0, False
    for one in rounds(room, group.world, job.micro_tokens, single=not model.decoder.packs):
        began = time.monotonic()
        which = one[group.rank]
        prompts = [sequences.ids_of(n) for n in which]
        draws = None if arrays.draws is None else arrays.draws[which]
        told = _Told(job.folder, which) if settings.stream else None
        made, stopped = _answers(job, settings, prompts, draws, model, group, told)
        answers.update(zip(which, made, strict=True))
        done += sum(len(own) for own in one)
        if stopped:
            break
        tell(job.folder, "progress", done=done, total=sequences.count, seconds=round(time.monotonic() - began, 4))
    merged = {n: [] for n in answers} | {n: made for part in group.gathered(answers) for n, made in part.items() if made}
    if group.first:
        write_atomic(job.out / "answers.jsonl", "".join(f"{json.dumps(merged[n])}\n" for n in sorted(merged)))
    if stopped:
        raise Stopped


class _Told:
    """Ids as they come, of the first process's prompts."""

    def __init__(self, folder: Path, prompts: list[int]) -> None:
        self._folder = folder
        self._prompts = prompts

    def __call__(self, place: int, token: int) -> None:
        tell(self._folder, "token", prompt=self._prompts[place], id=token)


def _answers(
    job: Job,
    settings: GenerateSettings,
    prompts: list[torch.Tensor],
    draws: torch.Tensor | None,
    model: Model,
    group: Group,
    told: Callable[[int, int], None] | None,
) -> tuple[list[list[int]], bool]:
    """`draws` is [prompts, max_tokens]. A process without a prompt goes along with one token. Also, whether they were
    stopped before their ends."""
    texts = prompts or [torch.zeros(1, dtype=torch.int64)]
    made: list[list[int]] = [[] for _ in texts]
    unfinished = [bool(prompts)] * len(texts)
    longest = max(len(text) for text in texts) + settings.max_tokens
    # Whether keys can be kept follows from the longest text of any process: all make the same calls either way.
    limit = model.decoder.rope_limit
    cached = model.decoder.packs and (limit is None or group.largest(longest) <= limit)
    lengths = torch.tensor([len(text) for text in texts], device=group.device)
    cache = Cache(longest, lengths.clone()) if cached else None
    context, at = Context(Pack.of(lengths.tolist(), group.device), cache), lengths.cumsum(0) - 1
    ids = torch.cat(texts).to(group.device)
    for t in range(settings.max_tokens):
        logits = model(ids, context, at, lambda hidden, decoder: decoder.head().logits(hidden))
        chosen = choose(logits[:, : settings.vocabulary], settings, None if draws is None else draws[:, t])
        for b, token in enumerate(chosen.tolist()):
            unfinished[b] = unfinished[b] and token not in settings.stop_ids
            if unfinished[b]:
                made[b].append(token)
                if told:
                    told(b, token)
        if group.any(asked_to_stop(job.folder)):
            return made[: len(prompts)], True
        if t + 1 == settings.max_tokens or not group.any(any(unfinished)):
            break
        if cache is None:
            grown = [torch.cat([text, torch.tensor(own, dtype=torch.int64)]) for text, own in zip(texts, made, strict=True)]
            lengths = torch.tensor([len(text) for text in grown], device=group.device)
            context, at = Context(Pack.of(lengths.tolist(), group.device)), lengths.cumsum(0) - 1
            ids = torch.cat(grown).to(group.device)
            continue
        if t > 0:
            cache.filled += 1
        pack = Pack([1] * len(chosen), cache.filled.clone(), torch.zeros(0, dtype=torch.int32))
        context, at = Context(pack, cache, decode=True), torch.arange(len(chosen), device=group.device)
        ids = chosen.to(group.device)
    return made[: len(prompts)], False


def choose(logits: torch.Tensor, settings: GenerateSettings, draws: torch.Tensor | None) -> torch.Tensor:
    """The next id of each row, [B]: temperature, then top-k, then nucleus, drawn in the order of ids, as
    `src/engine/sampling.ts` does. Greedy takes the most probable, of equal ones the lowest id."""
    if settings.temperature == 0 or draws is None:
        best = logits.max(-1, keepdim=True).values
        return (logits == best).to(torch.int8).argmax(-1)
    logits = logits.cpu() if logits.device.type == "mps" else logits
    mass = ((logits - logits.max(-1, keepdim=True).values).double() / settings.temperature).exp()
    ranked, order = mass.sort(dim=-1, descending=True, stable=True)
    if settings.top_k > 0:
        ranked[:, settings.top_k :] = 0
    if settings.top_p < 1:
        # The set ends with the token that reaches the wanted share; the first always stays.
        before = ranked.cumsum(-1) - ranked
        outside = before >= settings.top_p * ranked.sum(-1, keepdim=True)
        outside[:, 0] = False
        ranked[outside] = 0
    kept = torch.zeros_like(mass).scatter(1, order, ranked)
    along = kept.cumsum(-1)
    wanted = draws.to(along.device)[:, None] * along[:, -1:]
    found = torch.searchsorted(along, wanted, right=True)[:, 0]
    # Rounding can leave the last draw past the end; ids without mass have no width, so none of them is found.
    last = kept.shape[1] - 1 - (kept > 0).flip(-1).to(torch.int8).argmax(-1)
    return torch.minimum(found, last)
