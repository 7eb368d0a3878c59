"""Ask the authors' package (trackastra 0.5.6) what small transformers with drawn weights answer, and keep it for tests.

Needs an environment with that package; trackdb need not be there.

python benchmarks/trackastra_oracle.py
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import torch
from trackastra.model import TrackingTransformer

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "tests"))

from transformers import CASES, drawn_weights, drawn_window  # noqa: E402


def main() -> None:
    """Write logits and probabilities of each case."""
    torch.set_num_threads(1)
    answers = {}
    for case in CASES:
        settings, frame, places, features = drawn_window(case)
        model = TrackingTransformer(**settings).eval()
        weights = drawn_weights({name: tuple(value.shape) for name, value in model.state_dict().items()})
        model.load_state_dict({name: torch.from_numpy(value) for name, value in weights.items()}, strict=False)
        there, told = torch.from_numpy(places)[None], torch.from_numpy(features)[None]
        with torch.no_grad():
            logits = model(there, told if settings["feat_dim"] else None)
            probability = model.normalize_output(logits, torch.from_numpy(frame)[None], there)
        answers[f"{case}/logits"], answers[f"{case}/probability"] = logits[0].numpy(), probability[0].numpy()
        print(f"{case}: logits of {logits.std():.2f}, {(probability > 0.05).sum()} links")
    np.savez_compressed(ROOT / "tests" / "fixtures" / "trackastra.npz", **answers)


if __name__ == "__main__":
    main()
