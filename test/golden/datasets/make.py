"""Conversations as `datasets` saves them: a folder of Arrow streams, Parquet, an Arrow file; and JSON Lines in zstd.

    pip install datasets pyarrow zstandard && python make.py

The versions that wrote the committed files are in `versions.txt`.
"""

import json
from pathlib import Path

import datasets
import pyarrow
import pyarrow.ipc
import zstandard

HERE = Path(__file__).parent
CALL = {"type": "function", "function": {"name": "clock", "arguments": {"city": "Rome"}}}
RECORDS = [
    {
        "id": 1,
        "messages": [
            {"role": "user", "content": "Is water wet?", "weight": None, "tool_calls": None},
            {"role": "assistant", "content": "Yes", "weight": None, "tool_calls": None},
        ],
    },
    {
        "id": 2,
        "messages": [
            {"role": "user", "content": "Time in Rome?", "weight": None, "tool_calls": None},
            {"role": "assistant", "content": None, "weight": None, "tool_calls": [CALL]},
            {"role": "tool", "content": "noon", "weight": None, "tool_calls": None},
            {"role": "assistant", "content": "Noon \u00e9\U0001f600", "weight": 1, "tool_calls": None},
        ],
    },
    {
        "id": 3,
        "messages": [
            {"role": "user", "content": "a", "weight": None, "tool_calls": None},
            {"role": "assistant", "content": "masked", "weight": 0, "tool_calls": None},
            {"role": "user", "content": "b", "weight": None, "tool_calls": None},
            {"role": "assistant", "content": "c", "weight": 1, "tool_calls": None},
        ],
    },
]


def without_nulls(value):
    if isinstance(value, dict):
        return {key: without_nulls(inner) for key, inner in value.items() if inner is not None}
    return [without_nulls(inner) for inner in value] if isinstance(value, list) else value


data = datasets.Dataset.from_list(RECORDS)
data.save_to_disk(HERE / "saved", num_shards=2)
data.to_parquet(HERE / "chats.parquet")
table = data.data.table.combine_chunks()
with pyarrow.ipc.new_file(HERE / "chats.arrow", table.schema) as writer:
    writer.write_table(table)
lines = "".join(json.dumps(without_nulls(record)) + "\n" for record in RECORDS)
(HERE / "chats.jsonl").write_text(lines)
# Two frames, the second with a checksum.
first, second = lines[:200].encode(), lines[200:].encode()
with_checksum = zstandard.ZstdCompressor(write_checksum=True)
(HERE / "chats.jsonl.zst").write_bytes(zstandard.compress(first) + with_checksum.compress(second))
(HERE / "versions.txt").write_text(f"datasets {datasets.__version__}\npyarrow {pyarrow.__version__}\nzstandard {zstandard.__version__}\n")
