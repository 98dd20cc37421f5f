"""
Runs mergekit. Standard input: a list of {"config": text of a configuration, "out": folder}; models are looked up from
the current folder. The last line of standard output: one message of error a merge, null where it went well.
"""

import json
import sys

import yaml
from mergekit.config import MergeConfiguration
from mergekit.merge import run_merge
from mergekit.options import MergeOptions

# Model cards look models up on a network.
OPTIONS = MergeOptions(write_model_card=False, quiet=True, random_seed=0)


def merge(config: str, out: str) -> str | None:
    try:
        run_merge(MergeConfiguration.model_validate(yaml.safe_load(config)), out, OPTIONS, config_source=config)
    except Exception as error:  # Whatever mergekit says of this merge; the others go on.
        return f"{type(error).__name__}: {error}"
    return None


if __name__ == "__main__":
    print(json.dumps([merge(**job) for job in json.load(sys.stdin)]))
