"""What is remarked on scores of a model: that it has hardly learned, that it scored the same cells before or since."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ..storage.catalogue import RunInfo


HARDLY_TAUGHT: Final = "was stopped in its first epoch and has hardly learned: what it links is of little use"


def hardly_taught(name: str, training: Mapping[str, Any]) -> str:
    """Return a note on a model whose training was stopped before its first epoch was done; nothing on others.

    Parameters
    ----------
    name : str
        Of the model.
    training : mapping
        What its ``train_config.yaml`` tells; of trainings of the authors' package that is how many epochs were planned.

    Examples
    --------
    >>> hardly_taught("mine", {"trackdb": "0.1", "epochs": 0})
    'mine was stopped in its first epoch and has hardly learned: what it links is of little use'
    >>> hardly_taught("mine", {"trackdb": "0.1", "epochs": 1})
    ''
    """
    if "trackdb" not in training or training.get("epochs") != 0:
        return ""
    return f"{name} {HARDLY_TAUGHT}"


def hardly_taught_of(run: RunInfo) -> str:
    """Return the same of the model that a score run is by; nothing where it is by none."""
    model = run.params.get("model", {})
    return hardly_taught(model.get("name", ""), model.get("training", {}))


def scored_before(name: str, model: Mapping[str, Any], there: Sequence[RunInfo]) -> str:
    """Return a note where a model of the same folder has scored these cells; nothing where it has not.

    Parameters
    ----------
    name : str
        Of the new scores.
    model : mapping
        The card of the model.
    there : sequence of RunInfo
        Finished score runs, oldest first.
    """
    before = [run for run in there if _same_folder(run, model)]
    if not before:
        return ""
    same = all(run.params["model"]["sha256"] == model["sha256"] for run in before)
    which = "by the very same model" if same else f"by {model['name']} as it was then"
    named = ", ".join(run.name for run in before)
    return f"scores {named} are there already, {which}: the new ones are {name}, and --scores {name} solves by them"


def scored_since(run: RunInfo, there: Sequence[RunInfo]) -> str:
    """Return a note where the model of a run has scored these cells again since; nothing where it has not.

    Parameters
    ----------
    run : RunInfo
        Scores that are solved by.
    there : sequence of RunInfo
        Finished score runs, oldest first.
    """
    model = run.params.get("model")
    newer = [other for other in there if model and other.id > run.id and _same_folder(other, model)]
    if not newer or model is None:
        return ""
    named = ", ".join(other.name for other in newer)
    same = all(other.params["model"]["sha256"] == model["sha256"] for other in newer)
    which = "the same model" if same else f"{model['name']} as it was taught since"
    return f"solving by {run.name}, not by the newer {named}, by {which}: --scores {newer[-1].name} takes those"


def _same_folder(run: RunInfo, model: Mapping[str, Any]) -> bool:
    return "model" in run.params and bool(run.params["model"]["folder"] == model["folder"])
