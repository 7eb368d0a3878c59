"""Ask the authors' package (trackastra 0.5.6) for losses and gradients of small transformers, and keep them for tests.

The network and the normalisation of its answers are the package's; the sum of Eq. (6) is written here as it is told.
With a model folder that trackdb trained, it is told instead how far the package's logits lie from ours.

Needs an environment with that package; for a model folder trackdb has to be importable there, too.

python benchmarks/training_oracle.py [MODEL]
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import torch
from torch.nn import functional
from trackastra.model import TrackingTransformer
from trackastra.utils import blockwise_causal_norm

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "tests"))

from transformers import drawn_lesson, drawn_weights  # noqa: E402

CASES = ("rope", "bias", "softmax", "3D", "no positions")
WITHOUT_GRADIENTS = ("linear",)  # of which the package knows none where there is padding


def main() -> None:
    """Write the loss, and of the gradient of each weight its length and one product."""
    torch.set_num_threads(1)
    answers: dict[str, np.ndarray] = {}
    for case in (*CASES, *WITHOUT_GRADIENTS):
        settings, examples = drawn_lesson(case)
        model = TrackingTransformer(**settings).train()  # their dropout is 0
        weights = drawn_weights({name: tuple(value.shape) for name, value in model.state_dict().items()})
        model.load_state_dict({name: torch.from_numpy(value) for name, value in weights.items()}, strict=False)
        with torch.set_grad_enabled(case in CASES):
            loss = loss_of(model, settings["causal_norm"], examples)
        answers[f"{case}/loss"] = loss.detach().numpy()
        if case in CASES:
            loss.backward()
        for name, weight in model.named_parameters():
            if weight.grad is None:
                continue
            direction = np.random.default_rng(len(name)).normal(size=weight.shape)
            gradient = weight.grad.double().numpy()
            answers[f"{case}/{name}"] = np.array([np.linalg.norm(gradient), (gradient * direction).sum()])
        print(f"{case}: loss {loss.item():.6f}")
    np.savez_compressed(ROOT / "tests" / "fixtures" / "trackastra_training.npz", **answers)


def loss_of(model: TrackingTransformer, norm: str, examples: list[tuple[np.ndarray, ...]]) -> torch.Tensor:
    """Return the loss of a padded batch."""
    most = max(len(example[0]) for example in examples)
    padding = torch.from_numpy(np.stack([np.arange(most) >= len(example[0]) for example in examples]))
    frame, places, features = (
        torch.from_numpy(
            np.stack([np.pad(e[i], [(0, most - len(e[0]))] + [(0, 0)] * (e[i].ndim - 1)) for e in examples])
        )
        for i in range(3)
    )
    associated, weight = (
        torch.from_numpy(np.stack([np.pad(e[i], (0, most - len(e[0]))) for e in examples])).float() for i in (3, 4)
    )
    logits = model(places, features, padding_mask=padding).clamp(-65504, 65504)
    losses, counts = [], []
    for i in range(len(examples)):
        nobody = padding[i][:, None] | padding[i][None]
        # padding gets a frame of its own, so that no cell shares one with it
        at = torch.where(padding[i], frame[i].max() + 9, frame[i])
        likely = blockwise_causal_norm(logits[i], at, mode=norm, mask_invalid=nobody)
        each = functional.binary_cross_entropy(likely, associated[i], reduction="none")
        each = each + 0.01 * functional.binary_cross_entropy_with_logits(logits[i], associated[i], reduction="none")
        ahead = frame[i][None] - frame[i][:, None]
        counted = ((ahead > 0) & (ahead <= 2) & ~nobody).float()
        losses.append((each * weight[i] * counted).sum() / counted.sum())
        counts.append(counted.sum())
    share = torch.stack(counts) ** 0.2
    return (torch.stack(losses) * share).sum() / share.sum()


def compare(folder: Path) -> None:
    """Tell how far logits of the package lie from ours for a model that was trained here, on drawn windows."""
    from trackdb.engine.models.checkpoint import load_model

    torch.set_num_threads(1)
    ours, card = load_model(folder, device="cpu")
    theirs = TrackingTransformer.from_folder(folder, map_location="cpu").eval()
    settings, rng, furthest, largest = card.settings, np.random.default_rng(0), 0.0, 0.0
    for n in (3, 40, 300):
        frame = np.sort(rng.integers(5, 5 + settings.window, n))
        places = np.column_stack([frame, rng.random((n, settings.coord_dim)) * 300]).astype(np.float32)
        there = torch.from_numpy(places)[None]
        told = torch.from_numpy(rng.normal(size=(1, n, settings.feat_dim)).astype(np.float32))
        with torch.no_grad():
            a, b = ours(there, told), theirs(there, told if settings.feat_dim else None)
        furthest, largest = max(furthest, float((a - b).abs().max())), max(largest, float(b.abs().max()))
    print(f"{card.name}: logits of the package up to {largest:.3g}, ours differ by {furthest:.3g} at most")


if __name__ == "__main__":
    compare(Path(sys.argv[1])) if len(sys.argv) > 1 else main()
