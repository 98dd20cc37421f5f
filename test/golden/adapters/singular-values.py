"""Singular values of matrices that are made by formula here and in the test: writes singular-values.json (numpy 2.4.6)."""
import json
import pathlib

import numpy as np


def matrix(rows, columns, decay):
    i, j = np.meshgrid(np.arange(rows, dtype=np.float64), np.arange(columns, dtype=np.float64), indexing="ij")
    return (np.sin((i + 1) * (j + 2) * 0.37) / (1 + decay * (i + j))).astype(np.float32)


CASES = [(60, 40, 0.0), (40, 60, 0.1), (7, 5, 0.0), (200, 90, 0.02), (160, 140, 0.02)]
values = [
    {"rows": r, "columns": c, "decay": d, "values": np.linalg.svd(matrix(r, c, d).astype(np.float64), compute_uv=False).tolist()}
    for r, c, d in CASES
]
path = pathlib.Path(__file__).parent / "singular-values.json"
path.write_text(json.dumps(values) + "\n")
