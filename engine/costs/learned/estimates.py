"""What was learned of a movie as numbers with their units in the name, and in words that a biologist can check."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from .motion import BOTH_KNOWN

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from .lineage import Lineage
    from .model import Model
    from .surroundings import Surroundings

DIVIDES = "division_per_cell_and_frame"
MISSED = "miss_per_cell_and_frame"
FALSE = "false_per_detection"
DAUGHTERS = "daughters_over_mother_"  # and the name of a trait


def estimates_of(
    around: Surroundings, lineage: Lineage, elapsed: NDArray[np.float64], model: Model, unit: str
) -> dict[str, float]:
    """Return every number under a name that tells its unit, for the parameters of the run.

    Parameters
    ----------
    around : Surroundings
        n cells.
    lineage : Lineage
        The one that was learned from.
    elapsed : (m,) float64
        Time that each candidate spans.
    model : Model
        What was learned.
    unit : str
        Unit of all lengths: ``um`` or ``px``.
    """
    motion, daughters, rates = model.motion, model.daughters, model.rates
    link = lineage.continued
    step = around.position[lineage.target[link]] - around.position[lineage.source[link]]
    length = np.linalg.norm(step, axis=1) / elapsed[link]
    estimates = {
        f"step_{unit}_per_frame": float(np.median(length)) if len(link) else 0.0,
        DIVIDES: rates.division,
        MISSED: rates.miss,
        "missed_again_per_missed_frame": rates.again,
        FALSE: rates.false,
        "false_again_per_false_detection": rates.stays,
        "appear_per_cell_and_frame": float(rates.appear[0]),
        "appear_at_border_per_cell_and_frame": float(rates.appear[1]),
        "disappear_per_cell_and_frame": float(rates.disappear[0]),
        "disappear_at_border_per_cell_and_frame": float(rates.disappear[1]),
        f"residual_{unit}": motion.typical_step,
        "degrees_of_freedom": motion.freedom,
        "share_of_drift": float(motion.coefficient[BOTH_KNOWN, 0]),
        "share_of_velocity": float(motion.coefficient[BOTH_KNOWN, 1:3].sum()),
        "variance_over_a_missed_frame": motion.growth,
        "daughter_distance_spacings": float(np.exp(daughters.log_distance)),
        "daughter_distance_log_deviation": daughters.spread,
        "midpoint_along_spacings": float(np.sqrt(daughters.along)),
        "midpoint_across_spacings": float(np.sqrt(daughters.across)),
        f"spacing_{unit}": around.median_spacing,
    }
    for trait, learned in zip(model.looks.traits, model.looks.inherited, strict=True):
        if np.isfinite(learned.kept):
            estimates[f"{DAUGHTERS}{trait.name}"] = float(np.exp(learned.kept))
            estimates[f"{DAUGHTERS}{trait.name}_log_deviation"] = learned.deviation
    return estimates


def told(estimates: Mapping[str, float]) -> str:
    """Say in words what the estimates of a run of the learned cost mean; nothing for those of other costs.

    Examples
    --------
    >>> told({"step_um_per_frame": 4.13, DIVIDES: 0.006, MISSED: 0.018, FALSE: 0.022})
    '4.1 um a frame, 0.6 % divide, 1.8 % missed, 2.2 % false'
    >>> told({"step_px_per_frame": 2, DIVIDES: 0, MISSED: 0, FALSE: 0, "daughters_over_mother_area": 1.02,
    ...       "daughters_over_mother_area_log_deviation": 0.12})
    "2 px a frame, 0 % divide, 0 % missed, 0 % false, daughters 1.02 of the mother's area, +-12 %"
    """
    unit = next((unit for unit in ("um", "px") if f"step_{unit}_per_frame" in estimates), None)
    if unit is None or not {DIVIDES, MISSED, FALSE} <= set(estimates):
        return ""
    shares = ", ".join(
        f"{100 * estimates[name]:.2g} % {verb}"
        for name, verb in ((DIVIDES, "divide"), (MISSED, "missed"), (FALSE, "false"))
    )
    looks = "".join(
        f", daughters {estimates[name]:.2f} of the mother's {name.removeprefix(DAUGHTERS)}, "
        f"+-{100 * estimates[f'{name}_log_deviation']:.0f} %"
        for name in estimates
        if name.startswith(DAUGHTERS) and f"{name}_log_deviation" in estimates
    )
    return f"{estimates[f'step_{unit}_per_frame']:.2g} {unit} a frame, {shares}{looks}"
