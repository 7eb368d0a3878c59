"""SQLAlchemy's way of speaking with DuckDB, which makes the text of a query once."""

from __future__ import annotations

from duckdb_engine import Dialect
from sqlalchemy.dialects import registry


class RememberingDialect(Dialect):
    """The dialect of duckdb_engine; that one writes each query anew, which takes as long as a small answer."""

    supports_statement_cache = True


registry.register("duckdb.remembering", RememberingDialect.__module__, RememberingDialect.__name__)
