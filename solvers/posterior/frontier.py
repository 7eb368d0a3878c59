"""The exact weight of a piece, by a sweep over its mothers that remembers which daughters are taken.

A state is one bit for each daughter that is open: that some, but not all, of her mothers have chosen. A mother takes
none, one or two of her daughters that nobody took before, at any weight; a daughter whose last mother chose closes,
and pays for being new where her bit is not set. An optional cell chooses as a mother after all its own mothers, and
only then closes as a daughter. So ``2^width`` states do, for a width that an elimination order keeps small, and a pair
of daughters costs no more than one.

Sums run in float64 with a factor taken out at each step. Where weights lie too far apart for that, the same sweep is
done in logarithms.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np

from .graph import spans
from .script import write_script
from .states import LOG_SUM, SUM, sweep_backward, sweep_forward

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from .components import Cut, Pieces
    from .graph import ChoiceGraph
    from .order import Sweep
    from .script import Options, Script

    Ints = NDArray[np.int64]
    Floats = NDArray[np.float64]

WIDEST: Final = 24
"""No width beyond it is tried: 2^24 states of eight bytes for each mother."""

MOST_STATES: Final = 1 << 19
"""States that are kept at once, of many pieces: 4 MB."""

STATES_OF_OPTIONS: Final = 16
"""As so many states count what a mother may do."""


class Weighed(NamedTuple):
    """What the sweeps found.

    Parameters
    ----------
    choice : (n + m + q,) float64
        Probability of what mothers choose: of mother u none at ``u + first[u] + pair_first[u]``, then each of her
        links, then each of her pairs.
    absent : (n,) float64
        Probability that a cell whose roles are tied is not selected.
    log_z : (p,) float64
        Logarithm of the sum of the weights of each piece.
    """

    choice: NDArray[np.float64]
    absent: NDArray[np.float64]
    log_z: NDArray[np.float64]


def weigh_pieces(
    graph: ChoiceGraph, cut: Cut, pieces: Pieces, sweep: Sweep, width: int, into: Weighed | None = None
) -> Weighed:
    """Weigh all selections of each piece that is not too wide.

    Parameters
    ----------
    graph, cut, pieces, sweep
        As in `order_of_sweep`.
    width : int
        Pieces that need more are left out: what stands for them means nothing.
    into : Weighed or None
        Where to write; what stands there for other pieces stays.
    """
    narrow = np.flatnonzero(sweep.width <= width)
    if into is None:
        into = Weighed(np.zeros(graph.n_options), np.zeros(graph.n_cells), np.empty(0))
    log_z = np.full(len(sweep.width), np.nan)
    for some in _in_parts(pieces, sweep, narrow):
        if len(some) == len(sweep.width):
            first, mother = pieces.first, sweep.mother
        else:
            first, mother = rows_of_pieces(pieces.first, sweep.mother, some)
        log_z[some] = weigh_these(graph, cut, first, mother, int(sweep.width[some].max()), into)
    return into._replace(log_z=log_z)


def weigh_these(graph: ChoiceGraph, cut: Cut, first: Ints, mother: Ints, most: int, into: Weighed) -> Floats:
    """Write what the mothers of these pieces choose, all at once; return the logarithm of the weight of each piece."""
    script, options, taken_out = write_script(graph, cut, first, mother)
    swept, mass = sweep_over(script, most)
    write_choice(options, mass, mother, into)
    return np.asarray(swept.log_z + np.add.reduceat(np.append(taken_out, 0.0), first[:-1]), dtype=np.float64)


def write_choice(options: Options, mass: Floats, mother: Ints, into: Weighed) -> None:
    """Write what mothers choose from the probability of each group of their options."""
    probability = mass[options.group] * options.share
    chosen = options.absent < 0
    into.absent[mother] = 0.0
    if chosen.all():
        into.choice[options.choice] = probability
        return
    into.choice[options.choice[chosen]] = probability[chosen]
    into.choice[options.choice[~chosen]] += probability[~chosen]
    into.absent[options.absent[~chosen]] = probability[~chosen]


class Swept(NamedTuple):
    """What sweeps forward leave behind, for p pieces.

    Parameters
    ----------
    kept_at, kept
        States before each step (`Script.kept_at`).
    log_z : (p,) float64
        Logarithm of what the states of each piece sum to in the end.
    logs : (p,) bool
        Whether the states are logarithms.
    """

    kept_at: NDArray[np.int64]
    kept: NDArray[np.float64]
    log_z: NDArray[np.float64]
    logs: NDArray[np.bool_]


def sweep_over(script: Script, most: int, *, both_ways: bool = True) -> tuple[Swept, Floats]:
    """Sweep over all pieces of a script, forward and back; return what is left behind, and the probability of groups.

    Plain sums come first, logarithms for the pieces in which these cannot be trusted.
    """
    p = len(script.first) - 1
    kept_at = script.kept_at()
    kept, mass = np.empty(kept_at[-1]), np.empty(len(script.weight))
    log_z, sure, logs = np.empty(p), np.zeros(p, np.bool_), np.zeros(p, np.bool_)
    some = np.arange(p)
    for mode in (SUM, LOG_SUM):
        logs[some] = mode == LOG_SUM
        sweep_forward(script, some, kept_at, kept, log_z, sure, most, mode)
        if both_ways:
            sweep_backward(script, some[sure[some]], kept_at, kept, np.empty(0), mass, sure, most, mode)
        some = np.flatnonzero(~sure)
        if not len(some):
            break
    return Swept(kept_at, kept, log_z, logs), mass


def rows_of_pieces(first: Ints, mother: Ints, some: Ints) -> tuple[Ints, Ints]:
    """Return the mothers of some pieces, and where each of these pieces begins."""
    rows, owner = spans(first, some)
    return np.searchsorted(owner, np.arange(len(some) + 1)), mother[rows]


def _in_parts(pieces: Pieces, sweep: Sweep, some: Ints) -> list[Ints]:
    """Return pieces in parts of bounded size, unless one piece alone is larger."""
    size = sweep.n_states[some] + STATES_OF_OPTIONS * (pieces.first[some + 1] - pieces.first[some])
    if size.sum() < MOST_STATES:
        return [some] if len(some) else []
    part = np.cumsum(size) // MOST_STATES
    return np.split(some, np.flatnonzero(np.diff(part)) + 1)
