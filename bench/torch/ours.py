"""The torch engine's side of ../torch.mjs: works on an ordinary job folder, and times its events as they come."""

import json
import threading
import time
from pathlib import Path

from fusechat_torch.__main__ import work
from measure import JOB, Clock

folder = Path(JOB["folder"])
clock = Clock()
done = threading.Event()


def watch():
    seen = 0
    wanted = "step" if JOB["pass"] == "training" else "progress"
    while not done.wait(0.005):
        path = folder / "events.jsonl"
        lines = path.read_text().splitlines() if path.exists() else []
        for line in lines[seen:]:
            if json.loads(line)["event"] in ("loaded" if wanted == "progress" else "resumed", wanted):
                clock()
        seen = len(lines)


watcher = threading.Thread(target=watch)
watcher.start()
try:
    work(folder)
    time.sleep(0.1)
finally:
    done.set()
    watcher.join()
events = [json.loads(line) for line in (folder / "events.jsonl").read_text().splitlines()]
losses = [event["label_loss"] for event in events if event["event"] == "step"]
clock.report(losses=losses)
