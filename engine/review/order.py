"""In which order a review asks: by the wrong links that answers take away while that is quick, else by entropy.

What an answer would take away is found by trying it out. Where cells crowd and links may skip frames, much of a movie
hangs together, and a list takes seconds: nobody waits for that between two questions. Entropy is there at once, and in
such tissue finds as many wrong links (docs/review.md).
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final

from .queue import ERROR_REDUCTION

if TYPE_CHECKING:
    from collections.abc import Callable, Set

    from .live import OpenReview
    from .queue import ReviewList

ENTROPY: Final = "entropy"
QUICK_S: Final = 0.06
"""CPU time that a list may take, so that an answer is followed by the next question within a tenth of a second."""
PATIENCE_S: Final = 0.3
"""CPU time that lists may take beyond that, all together, before the order changes."""


class Order:
    """The order of an open review; it changes once, and stays.

    Parameters
    ----------
    clock : callable
        Seconds of CPU time of this process, so that a busy machine changes nothing.
    """

    def __init__(self, clock: Callable[[], float] = time.process_time) -> None:
        self._clock, self._patience_s, self._prepared = clock, PATIENCE_S, False
        self.by = ERROR_REDUCTION

    def listed(self, review: OpenReview, top: int, besides: Set[int]) -> ReviewList:
        """Return the questions that are worth most; where no answer takes errors away any more, those in doubt.

        Parameters
        ----------
        review : OpenReview
            Whose questions.
        top : int
            At most so many.
        besides : set of int
            Cells that are not asked about.
        """
        if self.by == ERROR_REDUCTION:
            found = self._timed(review, top, besides)
            if len(found):
                return found
        return review.uncertain(top, by=ENTROPY, besides=besides)

    def _timed(self, review: OpenReview, top: int, besides: Set[int]) -> ReviewList:
        """Return the list by error reduction, and change the order if such lists are slow."""
        begun = self._clock()
        found = review.uncertain(top, by=ERROR_REDUCTION, besides=besides)
        if self._prepared:  # the first list of a review prepares what later ones are quick by
            self._patience_s -= max(self._clock() - begun - QUICK_S, 0)
        self._prepared = True
        if self._patience_s < 0:
            self.by = ENTROPY
        return found
