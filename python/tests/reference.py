"""What other tests ask of transformers: a small model of an architecture, and log-probabilities as that package computes them.

`python -m tests.reference make NAME FOLDER VOCABULARY`; `… label-logp FOLDER SEQUENCES`, where SEQUENCES is a JSON list of
`{"ids", "positions"}`: prints a list a sequence, the log-probability of each label before which it is read.
"""

import json
import sys
from pathlib import Path

import torch

from .architectures import make, reference


@torch.no_grad()
def label_logp(folder: Path, sequences: list[dict[str, list[int]]]) -> list[list[float]]:
    model = reference(folder)
    found = []
    for one in sequences:
        ids, positions = torch.tensor(one["ids"]), torch.tensor(one["positions"])
        logp = model(input_ids=ids[None]).logits[0].log_softmax(-1)
        found.append(logp[positions - 1, ids[positions]].tolist())
    return found


if __name__ == "__main__":
    task, *rest = sys.argv[1:]
    if task == "make":
        make(rest[0], Path(rest[1]), vocab_size=int(rest[2]), max_position_embeddings=2048)
    else:
        print(json.dumps(label_logp(Path(rest[0]), json.loads(Path(rest[1]).read_text()))))
