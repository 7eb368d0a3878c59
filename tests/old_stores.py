"""Write a store of today's schema version, and what it answers, as a fixture: `python -m tests.old_stores`.

To be run before the schema version goes up. It holds something of everything: masks and images, a tracking with gaps
and merges, scores, solutions, a posterior, answers with notes, one of them taken back, and properties.
"""

import json
import tarfile
import tempfile
from pathlib import Path

from trackdb.engine import space
from trackdb.engine.annotations.answers import Annotator, undo
from trackdb.engine.config import Config, LinkConfig
from trackdb.engine.imports.importing import import_tracking
from trackdb.engine.ingest import ingest
from trackdb.engine.pipeline import solve
from trackdb.engine.posterior.stage import posterior
from trackdb.storage import tables
from trackdb.storage.duckdb_store import DuckDBStore
from trackdb.storage.formats.base import SourceOptions
from trackdb.storage.queries import VIEWS
from trackdb.storage.sandbox import ask

from .exported import HEADER, ROWS
from .movies import write_ctc, write_rows

FIXTURES = Path(__file__).parent / "fixtures"


def make(folder: Path, name: str) -> DuckDBStore:
    """Make a store of two movies, one of masks and images and one of points with names."""
    store = DuckDBStore(folder / f"{name}.trackdb")
    ingest(write_ctc(folder / "drawn", images=True), store)
    chosen = store.detection_set("drawn")
    solve(store, chosen)
    posterior(store, *store.find_solution("drawn"))
    annotator = Annotator(store, chosen)
    annotator.answer("choose", 2, [4, 5], who="ana", note="both are round")
    annotator.answer("begins", 9, who="bob")
    annotator.answer("flag", 1, who="ana")
    undo(store, None, who="ana")
    solve(store, chosen)
    rows = [[f'"{str(v).replace(chr(34), 2 * chr(34))}"' if i == 5 else v for i, v in enumerate(row)] for row in ROWS]
    points = write_rows(folder / "points.csv", rows, header=HEADER)
    options = SourceOptions(scale_um=(0.65, 0.5), interval_s=30.0, keep=("all",))
    ingest(points, store, options=options)
    solve(store, store.detection_set("points"), Config(link=LinkConfig(max_gap=1)))
    import_tracking(points, store, store.detection_set("points"), name="theirs")
    space.compact(store)
    return store


def answers(path: Path) -> dict[str, dict[str, object]]:
    """Return what every view of a store tells, and one macro."""
    asked = {view: f"select * from {view} order by all" for view in VIEWS}
    asked["descendants"] = "from descendants('truth', 2) order by all"
    told = {name: ask(path, query) for name, query in asked.items()}
    return {name: {"columns": a.rows.column_names, "rows": a.rows_by_position()} for name, a in told.items()}


def write() -> None:
    """Write the fixture of today's schema version, unless it is there: what a version wrote never changes."""
    name = f"store_v{tables.SCHEMA_VERSION}"
    packed = FIXTURES / f"{name}.tar.xz"
    if packed.exists():
        raise SystemExit(f"{packed} is there")
    with tempfile.TemporaryDirectory() as place:
        store = make(Path(place), name)
        (FIXTURES / f"{name}.json").write_text(json.dumps(answers(store.path), default=str))
        with tarfile.open(packed, "w:xz", preset=9) as archive:
            archive.add(store.path, arcname=store.path.name)


if __name__ == "__main__":
    write()
