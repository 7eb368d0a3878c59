"""Small association transformers with drawn weights, as trackdb and the authors' package both can make them.

No more than numpy is imported here: `benchmarks/trackastra_oracle.py` reads this file where trackdb is not installed.
"""

import numpy as np

SMALL = {
    "coord_dim": 2,
    "feat_dim": 7,
    "d_model": 32,
    "nhead": 2,
    "num_encoder_layers": 2,
    "num_decoder_layers": 2,
    "dropout": 0.0,
    "pos_embed_per_dim": 8,
    "feat_embed_per_dim": 4,
    "window": 4,
    "spatial_pos_cutoff": 40,
    "attn_positional_bias": "rope",
    "attn_positional_bias_n_spatial": 8,
    "causal_norm": "quiet_softmax",
    "attn_dist_mode": "v0",
}
CASES = {
    "rope": {},
    "rope, distance in space": {"attn_dist_mode": "v1"},
    "bias": {"attn_positional_bias": "bias"},
    "bias, distance in space": {"attn_positional_bias": "bias", "attn_dist_mode": "v1", "window": 3},
    "no positions": {"attn_positional_bias": "none"},
    "softmax": {"causal_norm": "softmax"},
    "linear": {"causal_norm": "linear"},
    "sigmoids": {"causal_norm": "none"},
    "3D": {"coord_dim": 3, "feat_dim": 12, "d_model": 48},
    "3D, bias": {"coord_dim": 3, "feat_dim": 12, "attn_positional_bias": "bias"},
    "features as they are": {"feat_embed_per_dim": 1},
    "places alone": {"feat_dim": 0},
    "odd layers": {"num_encoder_layers": 1, "num_decoder_layers": 3, "nhead": 4, "pos_embed_per_dim": 6},
}
"""What differs from `SMALL`."""


def drawn_weights(shapes):
    """Return the same weights for the same names and shapes: frequencies are positive, all else is centred."""
    rng = np.random.default_rng(1)
    weights = {}
    for name in sorted(shapes):
        shape = shapes[name]
        if name.endswith("_bins"):
            continue
        if ".freqs." in name:
            value = np.exp(-5 * rng.random(shape))
        elif "norm" in name and name.endswith("weight"):
            value = 0.5 + rng.random(shape)
        else:
            value = rng.normal(size=shape) * (1.2 / np.sqrt(shape[-1]) if len(shape) > 1 else 0.2)
        weights[name] = value.astype(np.float32)
    return weights


def drawn_window(case, n=36):
    """Return frames, places and features of cells of a window that does not begin at 0; one frame of it is empty."""
    settings = {**SMALL, **CASES[case]}
    rng = np.random.default_rng(len(case))
    frame = np.sort(rng.choice([5, 6, 8][: settings["window"]], n)).astype(np.int64)
    places = np.column_stack([frame, rng.random((n, settings["coord_dim"])) * 90]).astype(np.float32)
    features = rng.normal(size=(n, settings["feat_dim"])).astype(np.float32)
    return settings, frame, places, features


def drawn_lesson(case):
    """Return settings and three examples of different size: frame, places, features, associated and weight of each.

    What is right is drawn: a network is taught here, not tracking.
    """
    examples = []
    for seed, n in enumerate((17, 36, 5)):
        settings, frame, places, features = drawn_window(case, n)
        rng = np.random.default_rng(seed)
        associated = rng.random((n, n)) < 0.1
        associated |= associated.T
        ahead = frame - frame[:, None]
        weight = ((ahead > 0) & (ahead <= 2)) * np.where(associated, rng.choice([2.0, 11.0], (n, n)), 1.0)
        examples.append((frame, places, features, associated, weight.astype(np.float32)))
    return settings, examples
