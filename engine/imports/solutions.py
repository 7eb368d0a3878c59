"""Trackings that come with a dataset, told in labels, as solutions over its detections."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from ...storage.catalogue import SolutionInfo
from ...storage.pixels.files import read_mask
from ..candidates import edges_of
from ..lineages import solution_table
from .labelled import JoinedLinks, links_of, match_by_overlap, with_labels_of_detections

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from ...storage.formats.base import LabelLineage
    from ...storage.ingestion import Ingestion
    from ...storage.schema import CandidateEdges, Detections, SolutionTable
    from ..progress import Progress

IMPORTED = "imported"  # the linker of a tracking that was not solved here


def imported_solutions(
    lineages: Sequence[LabelLineage],
    detections: Detections,
    mask_of: Callable[[int], NDArray[Any]] | None,
    ingestion: Ingestion,
    progress: Progress,
) -> tuple[CandidateEdges, list[tuple[SolutionInfo, SolutionTable]], dict[str, dict[str, int]]]:
    """Return the links of all trackings as edges, each tracking as a solution over rows of those edges, and its counts.

    Parameters
    ----------
    lineages : sequence of LabelLineage
        The trackings; one whose labels are those of other masks is matched to the detections by overlap.
    detections : Detections
        All detections of the set.
    mask_of : callable or None
        Gives the label mask of the detections in a frame; None where they are points.
    ingestion : Ingestion
        The run that brings them in.
    progress : Progress
        Who is told what could not be matched.
    """
    joined = [_joined(lineage, detections, mask_of, progress) for lineage in lineages]
    counts = {lineage.name: counts_of(lineage, links) for lineage, links in zip(lineages, joined, strict=True)}
    for name, told in counts.items():
        note_counts(name, told, progress)
    nothing = np.empty(0, dtype=np.int64)
    edges = edges_between(
        detections,
        np.concatenate([nothing, *(links.source for links in joined)]),
        np.concatenate([nothing, *(links.target for links in joined)]),
    )
    key = edges.source * len(detections) + edges.target
    found = []
    for lineage, links in zip(lineages, joined, strict=True):
        rows = np.searchsorted(key, links.source * len(detections) + links.target)
        info = SolutionInfo(0, ingestion.chosen.id, ingestion.run.id, lineage.name, IMPORTED, None, None, None)
        found.append((info, solution_table(detections, links.row, links.source, links.target, rows, merge=links.merge)))
    return edges, found, counts


def _joined(
    lineage: LabelLineage,
    detections: Detections,
    mask_of: Callable[[int], NDArray[Any]] | None,
    progress: Progress,
) -> JoinedLinks:
    """Find the detections that a lineage speaks of."""
    if lineage.masks and mask_of is not None:
        lineage = _in_our_labels(lineage, mask_of, progress)
    return links_of(lineage, detections)


def counts_of(lineage: LabelLineage, links: JoinedLinks) -> dict[str, int]:
    """Return the cells and links that a tracking told, and how many of them are not here as they were told."""
    return {
        "cells": len(lineage.label),
        "links": len(lineage.source),
        "dropped": links.n_dropped,
        "bridged": links.n_bridged,
        "cut": links.n_cut,
        "merges": links.n_merges,
        "only_daughters": _count_only_daughters(lineage),
    }


def _count_only_daughters(lineage: LabelLineage) -> int:
    """Count the links to the next frame that begin a tracklet though their mother has no other daughter.

    Only a format that names tracklets can tell them; here a tracklet goes on over such a link.
    """
    if not lineage.by_tracklet:
        return 0
    only = np.bincount(lineage.source, minlength=len(lineage.label))[lineage.source] == 1
    next_frame = lineage.frame[lineage.target] - lineage.frame[lineage.source] == 1
    return int(np.count_nonzero(only & next_frame & (lineage.label[lineage.source] != lineage.label[lineage.target])))


def note_counts(name: str, counts: dict[str, int], progress: Progress) -> None:
    """Say what of a tracking is not here as it was told."""
    for key, what in (
        ("dropped", f"of {counts['cells']:,} cells have no detection"),
        ("bridged", "links lead over such cells"),
        ("cut", "links would have made a third daughter and are left out"),
        ("merges", "merges: their links are of kind merge, and lineages begin anew after them"),
    ):
        if counts[key]:
            progress.note(f"{name}: {counts[key]:,} {what}")


def _in_our_labels(lineage: LabelLineage, mask_of: Callable[[int], NDArray[Any]], progress: Progress) -> LabelLineage:
    """Tell a lineage in the labels of the detections, matched frame by frame by the overlap of the masks."""
    progress.start(f"matching {lineage.name}", len(lineage.masks))
    matches = []
    for frame, path in enumerate(lineage.masks):
        matches.append((frame, *match_by_overlap(read_mask(path), mask_of(frame))))
        progress.advance()
    return with_labels_of_detections(lineage, matches)


def edges_between(detections: Detections, source: NDArray[np.int64], target: NDArray[np.int64]) -> CandidateEdges:
    """Return the links between rows of detections as edges that are not numbered yet, in order, each once."""
    n = max(len(detections), 1)
    key = np.unique(source * n + target)
    return edges_of(detections, key // n, key % n)
