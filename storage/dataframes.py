"""Results as tables of other libraries: Arrow always, pandas and polars where they are installed."""

from __future__ import annotations

from abc import ABC, abstractmethod
from importlib.util import find_spec
from typing import TYPE_CHECKING

from ..errors import ConfigError

if TYPE_CHECKING:
    import pandas
    import polars
    import pyarrow as pa


class Tabular(ABC):
    """A result that is a table."""

    __slots__ = ()

    @abstractmethod
    def arrow(self) -> pa.Table:
        """Return it as an Arrow table."""

    def df(self) -> pandas.DataFrame:
        """Return it as a pandas data frame; ConfigError where pandas is not installed."""
        _require("pandas")
        return self.arrow().to_pandas()

    def pl(self) -> polars.DataFrame:
        """Return it as a polars data frame; ConfigError where polars is not installed."""
        _require("polars")
        import polars

        return polars.DataFrame(self.arrow())


def plain_value(value: pa.Scalar) -> object:
    """Return an Arrow value as Python has it, lists and records too; as text where Python has no such date."""
    import pyarrow as pa

    if not value.is_valid:
        return None
    if isinstance(value, pa.MapScalar):
        return [tuple(map(plain_value, pair.values())) for pair in value.values]
    if isinstance(value, pa.StructScalar):
        return {name: plain_value(item) for name, item in value.items()}
    if isinstance(value, pa.ListScalar | pa.FixedSizeListScalar):
        return list(map(plain_value, value.values))
    try:
        return value.as_py()
    except (OverflowError, ValueError):
        return value.cast(pa.string()).as_py()


def _require(library: str) -> None:
    if find_spec(library) is None:
        raise ConfigError(f"{library} is not installed", **{"try": f"pip install {library}, or .arrow()"})
