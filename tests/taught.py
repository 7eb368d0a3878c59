"""Small lessons: cells that walk apart from each other, and one that divides, as a network is taught by them."""

import numpy as np

from trackdb.engine.train_config import Recipe
from trackdb.engine.training.association.examples import Example, associations, weights

SHAPE = {
    "coord_dim": 2,
    "feat_dim": 7,
    "d_model": 16,
    "nhead": 2,
    "num_encoder_layers": 1,
    "num_decoder_layers": 1,
    "dropout": 0.1,
    "pos_embed_per_dim": 8,
    "feat_embed_per_dim": 4,
    "window": 3,
}
RECIPE = Recipe(
    window=3,
    d_model=16,
    layers=1,
    heads=2,
    dropout=0.1,
    epochs=3,
    samples_per_epoch=8,
    batch=2,
    lr=3e-3,
    warmup=1,
    clip=1.0,
    crop=256,
    max_tokens=100,
    augment=0,
    div_upweight=2.0,
    patience=9,
)


def walk(seed, n=4):
    """Return three frames of cells that walk, well apart: one divides after the second frame, n - 1 others do not.

    ::

        frame   0   1   2
                0---0---1
                     `--2
                3---3---3   and so on
    """
    rng = np.random.default_rng(seed)
    others = np.arange(3, 2 + n)
    track = np.concatenate([[0], others, [0], others, [1, 2], others])
    frame = np.repeat([0, 1, 2], [n, n, n + 1])
    associated = associations(frame, track, np.where(track == 0, 2, track))
    place = np.stack([np.maximum(track - 2, 0) * 20.0, rng.random(2 + n)[np.maximum(track, 2)] * 60], axis=1)
    place += frame[:, None] * 2.0 + rng.normal(0, 0.5, place.shape)
    place[track == 2] += 6
    features = np.zeros((len(frame), 7), np.float32)
    features[:, 0] = 8 + rng.random(len(frame))
    places = np.column_stack([frame, place]).astype(np.float32)
    return Example(frame, places, features, associated, weights(frame, associated))


class Walks:
    """Lessons of walks: two walks a step, the same each time they are asked for.

    Parameters
    ----------
    before : callable or None
        Called with epoch and step before each step is handed out.
    """

    def __init__(self, before=None, steps=4):
        self._before, self._steps = before, steps

    def batches(self, epoch, begin):
        for step in range(begin, self._steps):
            if self._before is not None:
                self._before(epoch, step)
            yield [walk(100 * epoch + 10 * step + i, n=3 + i) for i in range(2)]

    def validation(self):
        yield [walk(9001), walk(9002, n=5)]
