"""What is wrong with a store: broken promises of its tables, altered pixels, work left undone; what can be mended."""

from .examination import check as check
from .mending import mend as mend
from .problem import Mended as Mended
from .problem import Problem as Problem
