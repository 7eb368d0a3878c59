"""The settings of an association transformer, as ``config.yaml`` of a model folder names them."""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields
from typing import TYPE_CHECKING, Final

from ...errors import FormatError

if TYPE_CHECKING:
    from collections.abc import Mapping

POSITIONAL: Final = ("rope", "bias", "none")
NORMS: Final = ("quiet_softmax", "softmax", "linear", "none")
DISTANCES: Final = ("v0", "v1")
FEATURES: Final = {2: 7, 3: 12}
"""Numbers of a cell that a model of so many space axes takes: diameter, brightness, inertia, nearness of the border."""

LARGEST: Final = {
    "d_model": 8192,
    "nhead": 256,
    "num_encoder_layers": 128,
    "num_decoder_layers": 128,
    "pos_embed_per_dim": 1024,
    "feat_embed_per_dim": 1024,
    "window": 256,
    "spatial_pos_cutoff": 1_000_000,
    "attn_positional_bias_n_spatial": 1024,
}
"""Far beyond any network that was published; what is larger would be asked for by a slip, or to take all memory."""


@dataclass(frozen=True, slots=True)
class TransformerSettings:
    """What shape an association transformer has [1]_; names and defaults are those of its ``config.yaml``.

    Parameters
    ----------
    coord_dim : int
        Space axes of a token, 2 or 3; a flat movie in a model of 3 lies at z = 0.
    feat_dim : int
        Features of a token: 0, 7 in 2D or 12 in 3D.
    d_model, nhead : int
        Width of a token, and attention heads that share it; the width of a head is even.
    num_encoder_layers, num_decoder_layers : int
        Layers.
    dropout : float
        While training.
    pos_embed_per_dim : int
        Fourier features of each coordinate, time among them; even.
    feat_embed_per_dim : int
        Fourier features of each feature, even; 1 or less takes features as they are.
    window : int
        Frames that are looked at together.
    spatial_pos_cutoff : int
        Pixels; cells further apart do not see each other.
    attn_positional_bias : str
        How attention knows places: ``rope`` turns queries and keys, ``bias`` adds a learned table, ``none``.
    attn_positional_bias_n_spatial : int
        Distances that the table of ``bias`` tells apart.
    causal_norm : str
        How logits of parents become probabilities, see `parental`.
    attn_dist_mode : str
        Whether attention falls off with distance in space and time (``v0``) or in space alone (``v1``).

    Raises
    ------
    FormatError
        If a value is none that it can have.

    References
    ----------
    .. [1] Gallusser & Weigert, "Trackastra", ECCV 2024, section 1.2.
    """

    coord_dim: int = 3
    feat_dim: int = 0
    d_model: int = 128
    nhead: int = 4
    num_encoder_layers: int = 4
    num_decoder_layers: int = 4
    dropout: float = 0.1
    pos_embed_per_dim: int = 32
    feat_embed_per_dim: int = 1
    window: int = 6
    spatial_pos_cutoff: int = 256
    attn_positional_bias: str = "rope"
    attn_positional_bias_n_spatial: int = 16
    causal_norm: str = "quiet_softmax"
    attn_dist_mode: str = "v0"

    def __post_init__(self) -> None:
        for name, most in LARGEST.items():
            _require(getattr(self, name) <= most, name, getattr(self, name), f"{most:,} at most")
        _require(self.coord_dim in FEATURES, "coord_dim", self.coord_dim, "2 or 3")
        fitting = (0, FEATURES[self.coord_dim])
        _require(self.feat_dim in fitting, "feat_dim", self.feat_dim, f"{fitting[0]} or {fitting[1]}")
        _require(self.nhead >= 1, "nhead", self.nhead, "1 or more")
        even = self.d_model > 0 and self.d_model % (2 * self.nhead) == 0
        _require(even, "d_model", self.d_model, f"a multiple of twice nhead, {2 * self.nhead}")
        for name in ("num_encoder_layers", "num_decoder_layers", "attn_positional_bias_n_spatial"):
            _require(getattr(self, name) >= 1, name, getattr(self, name), "1 or more")
        _require(0 <= self.dropout < 1, "dropout", self.dropout, "0 or more, less than 1")
        pairs = self.pos_embed_per_dim >= 2 and self.pos_embed_per_dim % 2 == 0
        _require(pairs, "pos_embed_per_dim", self.pos_embed_per_dim, "an even number")
        raw_or_pairs = self.feat_embed_per_dim <= 1 or self.feat_embed_per_dim % 2 == 0
        _require(raw_or_pairs, "feat_embed_per_dim", self.feat_embed_per_dim, "1, or an even number")
        _require(self.window >= 2, "window", self.window, "2 or more frames")
        _require(self.spatial_pos_cutoff >= 1, "spatial_pos_cutoff", self.spatial_pos_cutoff, "1 pixel or more")
        for name, known in (
            ("attn_positional_bias", POSITIONAL),
            ("causal_norm", NORMS),
            ("attn_dist_mode", DISTANCES),
        ):
            _require(getattr(self, name) in known, name, getattr(self, name), " or ".join(known))

    @property
    def head_width(self) -> int:
        """Width of an attention head."""
        return self.d_model // self.nhead

    @property
    def token_width(self) -> int:
        """Numbers of a token before they are projected."""
        return (1 + self.coord_dim) * self.pos_embed_per_dim + self.feat_dim * max(self.feat_embed_per_dim, 1)

    @property
    def rotations(self) -> tuple[int, ...]:
        """Numbers of a head that time, then each space axis, turns; they come in pairs."""
        of_space = 2 * (self.head_width // (2 * (self.coord_dim + 1)))
        return (self.head_width - self.coord_dim * of_space, *[of_space] * self.coord_dim)

    def as_dict(self) -> dict[str, int | float | str]:
        """Return the settings as ``config.yaml`` keeps them."""
        return asdict(self)


def settings_from(found: Mapping[str, object], where: str) -> TransformerSettings:
    """Return the settings that a ``config.yaml`` holds; what it does not name has its default.

    Raises
    ------
    FormatError
        If a key is not known, or a value is none that it can have; the message names `where`.
    """
    if "pretrained_feat_dim" in found:
        raise FormatError(
            f"{where}: the model takes features of another network (pretrained_feat_dim), which trackdb does not read",
            expected="a model of shape and brightness alone",
        )
    known = {field.name: field for field in fields(TransformerSettings)}
    strange = sorted(set(found) - set(known))
    if strange:
        raise FormatError(f"{where}: unknown {', '.join(strange)}", known=", ".join(known))
    for key, value in found.items():
        wanted = type(known[key].default)
        if not (isinstance(value, wanted) or (wanted is float and isinstance(value, int))) or isinstance(value, bool):
            raise FormatError(f"{where}: {key} is {value!r}", expected=_KINDS[wanted])
    try:
        return TransformerSettings(**found)  # type: ignore[arg-type]  # each was compared with its default
    except FormatError as error:
        raise FormatError(f"{where}: {error.message}", **error.details) from None


_KINDS: Final = {int: "a whole number", float: "a number", str: "a name"}


def _require(holds: bool, name: str, got: object, expected: str) -> None:
    if not holds:
        raise FormatError(f"{name} is {got!r}", expected=expected)
