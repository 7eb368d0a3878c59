"""The model of the benchmark: what it is, how it is trained, and where a trained one is kept."""

from __future__ import annotations

import hashlib
import json
import os
import sys
from typing import TYPE_CHECKING

from films import LESSONS, lesson_stores
from measure import trackdb

if TYPE_CHECKING:
    from pathlib import Path

SETTINGS = """\
[train]
size = "small"      # d 64, 2 + 2 layers, 4 frames at once
epochs = 8
samples_per_epoch = 1000
batch = 4
max_tokens = 256
patience = 8
device = "cpu"
seed = 1
"""


def trained(folder: Path) -> Path:
    """Return the folder of the model, which is trained first where there is none yet; it goes on where it stopped.

    It is named by a digest of the settings and of what the movies are.
    """
    named = hashlib.sha256(f"{SETTINGS} {LESSONS}".encode()).hexdigest()[:12]
    model, settings = folder / f"model-{named}", folder / f"model-{named}.toml"
    if not (model / "trained.json").exists() or (model / "checkpoint.pt").exists():
        stores = lesson_stores(folder)
        settings.write_text(SETTINGS)
        spent = trackdb(
            "train", "association", *stores, "-o", model, "--config", settings, "--json", "-q",
            env={"OMP_NUM_THREADS": os.environ.get("OMP_NUM_THREADS", "1")},
        )  # fmt: skip
        print(f"trained for {spent.wall_s:.0f} s, {spent.cpu_s:.0f} CPU s: {json.dumps(spent.report)}", file=sys.stderr)
    return model
