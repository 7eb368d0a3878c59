"""Features and windows of the association transformer beside the authors' package: CPU seconds, same movie, same run.

Needs trackastra 0.5.6 in the environment (an extra of nothing: ``pip install torch==2.13.0 trackastra==0.5.6``).

python benchmarks/transformer.py [ROUNDS [WINDOW]]
python benchmarks/transformer.py [ROUNDS [WINDOW]] --device cuda    without the package: trackdb alone, wall seconds,
                                                                    windows one by one and together, by precision
"""

from __future__ import annotations

import argparse
import time
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from trackdb.engine.measure import measure
from trackdb.engine.models.brightness import brightness_of
from trackdb.engine.models.cells import cells_for
from trackdb.engine.models.settings import TransformerSettings
from trackdb.engine.models.transformer import AssociationTransformer
from trackdb.engine.models.windows import Links, Sliding, associate
from trackdb.engine.training.precision import Precision
from trackdb.storage.measurements import Features
from trackdb.storage.schema import Detections

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

SIZE, CELLS = 512, 500
TOGETHER = (1, 4, 16)
PRECISIONS = ("32", "bf16", "16")
SHAPE = {"coord_dim": 2, "feat_dim": 7, "nhead": 4, "dropout": 0.0, "pos_embed_per_dim": 32, "feat_embed_per_dim": 8}
MODELS = {
    "window 6, d 256, 6 + 6 layers": {"window": 6, "d_model": 256, "num_encoder_layers": 6, "num_decoder_layers": 6},
    "window 4, d 512, 5 + 5 layers": {"window": 4, "d_model": 512, "num_encoder_layers": 5, "num_decoder_layers": 5},
}


def movie(frames: int) -> tuple[NDArray[np.int32], NDArray[np.uint16]]:
    """Return masks and images of cells of some 9 pixels across that walk and fill the field."""
    rng = np.random.default_rng(0)
    place = rng.uniform(6, SIZE - 6, (CELLS, 2))
    grid = np.stack(np.meshgrid(np.arange(-5, 6), np.arange(-5, 6), indexing="ij"), -1).reshape(-1, 2)
    masks = np.zeros((frames, SIZE, SIZE), np.int32)
    images = rng.poisson(80, masks.shape).astype(np.uint16)
    for mask, image in zip(masks, images, strict=True):
        for label, centre in enumerate(place.astype(int), start=1):
            disc = grid[(grid**2).sum(1) <= rng.integers(9, 25)] + centre
            mask[disc[:, 0], disc[:, 1]] = label
        image += ((mask > 0) * rng.uniform(300, 900)).astype(np.uint16)
        place = np.clip(place + rng.normal(0, 2, place.shape), 6, SIZE - 6)
    return masks, images


def best(rounds: int, *calls: Callable[[], Any]) -> list[tuple[float, Any]]:
    """Return the least CPU seconds of each call and what it returned, turn about."""
    least = [(np.inf, None)] * len(calls)
    for _ in range(rounds):
        for i, call in enumerate(calls):
            started = time.process_time()
            answer = call()
            least[i] = min(least[i], (time.process_time() - started, answer), key=lambda pair: pair[0])
    return least


def told(what: str, theirs: float, ours: float) -> None:
    """Print a row."""
    print(f"| {what} | {theirs:.3f} | {ours:.3f} | {theirs / ours:.1f} |", flush=True)


def features(masks: NDArray[np.int32], images: NDArray[np.uint16], settings: TransformerSettings) -> Any:
    """Return cells as trackdb measures them."""
    found = [measure(mask, {"a": image}) for mask, image in zip(masks, images, strict=True)]
    n = sum(map(len, found))
    detections = Detections(
        np.arange(n),
        np.repeat(np.arange(len(found)), list(map(len, found))),
        np.concatenate([regions.centroid_px for regions in found]),
        np.concatenate([regions.label for regions in found]),
        np.concatenate([regions.area for regions in found]),
        None,
    )
    known = Features.concatenate([regions.features for regions in found])
    return cells_for(settings, detections, known, "a", brightness_of(lambda: iter(images)))


def quiet(steps: Any, **_options: Any) -> Any:
    """Draw no bar."""
    return steps


def on_device(rounds: int, window: int | None, device: torch.device) -> None:
    """Print how long a window takes on a device, and how far its probabilities are from those in single precision."""
    print(f"{CELLS} cells a frame, {SIZE} x {SIZE}, {device}, best of {rounds}; torch {torch.__version__}\n")
    print("| | together | bits | wall s a window | links | largest difference to 32 |\n|---|---|---|---|---|---|")
    for name, shape in MODELS.items():
        if window is not None and shape["window"] != window:
            continue
        settings = TransformerSettings(**{**SHAPE, **shape})  # type: ignore[arg-type]
        torch.manual_seed(0)
        model = AssociationTransformer(settings).eval().to(device)
        sliding = Sliding(settings.window + max(TOGETHER) - 1)
        masks, images = movie(sliding.n_frames)
        cells = features(masks, images, settings)
        exact: dict[tuple[int, int], float] = {}
        for bits in PRECISIONS:
            for batch in TOGETHER:
                precision = Precision(device, bits)
                spent, found = _least_wall(
                    rounds,
                    lambda m=model, c=cells, s=sliding, b=batch, p=precision: list(
                        associate(m, c, s, batch=b, precision=p)
                    ),
                    device,
                )
                links = Links.concatenate([part.links for part in found])
                ends = zip(links.source.tolist(), links.target.tolist(), strict=True)
                same = dict(zip(ends, links.probability.tolist(), strict=True))
                exact = exact or same
                apart = max((abs(exact[pair] - same[pair]) for pair in exact.keys() & same.keys()), default=0.0)
                each = spent / len(sliding.starts(settings.window))
                print(f"| {name} | {batch} | {bits} | {each:.4f} | {len(same):,} | {apart:.1e} |", flush=True)


def _least_wall(rounds: int, call: Callable[[], Any], device: torch.device) -> tuple[float, Any]:
    """Return the least wall seconds of a call whose work on the device is done, after one that is not counted."""
    answer, least = call(), np.inf
    for _ in range(rounds):
        started = time.perf_counter()
        answer = call()
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        least = min(least, time.perf_counter() - started)
    return least, answer


def main() -> None:
    """Print the table."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("rounds", nargs="?", type=int, default=2)
    options.add_argument("window", nargs="?", type=int, help="only the model of this window")
    options.add_argument("--device", help="cpu or cuda: trackdb alone")
    given = options.parse_args()
    torch.set_num_threads(1)
    if given.device:
        on_device(given.rounds, given.window, torch.device(given.device))
    else:
        beside_the_package(given.rounds, given.window)


def beside_the_package(rounds: int, window: int | None) -> None:
    """Print CPU seconds of both."""
    from trackastra.data import build_windows, get_features
    from trackastra.model import TrackingTransformer
    from trackastra.model.predict import predict_windows

    print(f"{CELLS} cells a frame, {SIZE} x {SIZE}, one thread, best of {rounds}; torch {torch.__version__}\n")
    print("| | trackastra, CPU s | trackdb, CPU s | times |\n|---|---|---|---|")
    for name, shape in MODELS.items():
        if window is not None and shape["window"] != window:
            continue
        settings = TransformerSettings(**{**SHAPE, **shape})  # type: ignore[arg-type]
        torch.manual_seed(0)
        theirs = TrackingTransformer(**SHAPE, **shape).eval()
        with torch.no_grad():
            for head in (theirs.head_x, theirs.head_y):
                head.fc2.weight *= 4
        ours = AssociationTransformer(settings).eval()
        ours.load_state_dict(theirs.state_dict())
        masks, images = movie(settings.window)
        features(masks, images, settings)  # compiled once
        normal = _normalised(images)
        (spent, made), (cost, cells) = best(
            rounds,
            lambda m=masks, n=normal: get_features(m, n, ndim=2, progbar_class=quiet),
            lambda m=masks, i=images, s=settings: features(m, i, s),
        )
        told(f"features, a frame ({name})", spent / settings.window, cost / settings.window)
        windows = build_windows(made, window_size=settings.window, progbar_class=quiet, as_torch=True)
        with torch.no_grad():
            (spent, answer), (cost, found) = best(
                rounds,
                lambda w=windows, m=made, t=theirs: predict_windows(w, m, t, spatial_dim=2, progbar_class=quiet),
                lambda c=cells, o=ours, s=settings: list(associate(o, c, Sliding(s.window))),
            )
        told(f"a window of {len(cells.frame):,} cells ({name})", spent, cost)
        _compare(answer, Links.concatenate([part.links for part in found]))


def _normalised(images: NDArray[np.uint16]) -> NDArray[np.float32]:
    """Return images as the package is given them."""
    brightness = brightness_of(lambda: iter(images))
    return brightness.normalised(images.astype(np.float64)).astype(np.float32)


def _compare(theirs: dict[str, Any], ours: Links) -> None:
    """Stop unless both found the same links."""
    weights = {tuple(pair): weight for pair, weight in theirs["weights"]}
    same = dict(zip(zip(ours.source.tolist(), ours.target.tolist(), strict=True), ours.probability, strict=True))
    if weights.keys() != same.keys():
        raise SystemExit(f"{len(weights)} links of the package, {len(same)} of trackdb")
    print(f"    {len(same):,} links, weights apart by {max(abs(weights[e] - same[e]) for e in same):.1e}")


if __name__ == "__main__":
    main()
