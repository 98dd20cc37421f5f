"""Looks at a cache of the Hub, or fetches into it, with huggingface_hub. The job names home, endpoint and what to do."""

import json
import os
import sys

job = json.load(sys.stdin)
os.environ["HF_HOME"] = job["home"]
os.environ["HF_ENDPOINT"] = job["endpoint"]
os.environ["HF_HUB_OFFLINE"] = "1" if job.get("offline") else "0"
os.environ["HF_HUB_DISABLE_PROGRESS_BARS"] = "1"
os.environ["HF_HUB_DISABLE_XET"] = "1"

from huggingface_hub import get_token, hf_hub_download, scan_cache_dir, snapshot_download  # noqa: E402


def scan():
    found = scan_cache_dir()
    return {
        "warnings": [str(warning) for warning in found.warnings],
        "repos": {
            repo.repo_id: {
                revision.commit_hash: {
                    "refs": sorted(revision.refs),
                    "files": sorted(str(file.file_path.relative_to(revision.snapshot_path)) for file in revision.files),
                    "bytes": revision.size_on_disk,
                }
                for revision in repo.revisions
            }
            for repo in found.repos
        },
    }


def snapshot():
    return snapshot_download(
        job["repo"],
        revision=job.get("revision"),
        local_files_only=job.get("local", False),
        allow_patterns=job.get("patterns"),
    )


def files():
    return [hf_hub_download(job["repo"], name, local_files_only=job.get("local", False)) for name in job["files"]]


print(json.dumps({"scan": scan, "snapshot": snapshot, "files": files, "token": get_token}[job["what"]]()))
