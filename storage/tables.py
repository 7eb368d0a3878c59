"""The schema of a store, said once in SQLAlchemy Core; the views on top of it stand in `queries`.

Big tables carry no keys and no indices: two keys cost four times the insert in DuckDB and three times the disk, and
rows that are sorted by what is asked for are found by zone maps alone. Their rows are unique by construction: numbers
come from counters in `meta`, and edges are compared with the known ones in the transaction that adds them. Small tables
have primary keys. There are no foreign keys (DuckDB refuses legal updates of referenced rows).

Each column says in its `doc` what it holds, each table in ``info["row"]`` what a row is: docs/reference/schema.md is
made of these.
"""

from __future__ import annotations

import sqlalchemy as sa

SCHEMA_VERSION = 4  # goes up with every change of tables, views or macros, and `migrations` gets a step
OLDEST_READER = 2  # the oldest schema version whose reader still understands what we write

metadata = sa.MetaData()


def _key(name: str, doc: str) -> sa.Column[int]:
    """Return the primary key of a small table; the store hands out the numbers."""
    return sa.Column(name, sa.BigInteger, primary_key=True, autoincrement=False, doc=doc)


def _ref(name: str, doc: str, *, nullable: bool = False) -> sa.Column[int]:
    """Return a column that holds the number of a row in another table."""
    return sa.Column(name, sa.BigInteger, nullable=nullable, doc=doc)


def _frame(name: str, doc: str) -> sa.Column[int]:
    return sa.Column(name, sa.Integer, nullable=False, doc=doc)


meta = sa.Table(
    "meta",
    metadata,
    sa.Column(
        "key",
        sa.String,
        primary_key=True,
        doc="schema_version, oldest_reader, commits, project, storage_version, next_edge and the like",
    ),
    sa.Column("value", sa.String, nullable=False, doc="text"),
    info={"row": "a fact that the store tells about itself"},
)

dataset = sa.Table(
    "dataset",
    metadata,
    _key("dataset_id", "its number"),
    sa.Column("name", sa.String, nullable=False, unique=True, doc="unique in the store"),
    sa.Column("n_frames", sa.Integer, nullable=False, doc="frames 0 to n_frames - 1; some may be empty"),
    sa.Column("ndim", sa.Integer, nullable=False, doc="2 or 3 space axes"),
    sa.Column("shape", sa.JSON(none_as_null=True), doc="pixels of a mask, [z,] y, x; NULL for tables of points"),
    sa.Column("scale_z", sa.Double, doc="micrometres a voxel; NULL where unknown, and in 2D"),
    sa.Column("scale_y", sa.Double, doc="micrometres a pixel; NULL where unknown"),
    sa.Column("scale_x", sa.Double, doc="micrometres a pixel; NULL where unknown"),
    sa.Column("unit", sa.String, nullable=False, doc="um or, where the voxel size is not known, px"),
    sa.Column("frame_interval_s", sa.Double, doc="seconds from frame to frame; NULL where unknown"),
    sa.Column("source", sa.String, nullable=False, doc="where it came from"),
    _ref("run_id", "the ingest"),
    info={"row": "a movie"},
)

array_ref = sa.Table(
    "array_ref",
    metadata,
    _key("array_id", "its number"),
    _ref("dataset_id", "the movie"),
    sa.Column("kind", sa.String, nullable=False, doc="images, masks, likelihoods, embeddings"),
    sa.Column("channel", sa.String, nullable=False, doc="name of the channel; empty for masks"),
    sa.Column("path", sa.String, nullable=False, doc="below the store, arrays/<sha256>; one content may serve twice"),
    sa.Column("sha256", sa.String, nullable=False, doc="digest of all its files"),
    sa.Column("shape", sa.JSON(none_as_null=True), nullable=False, doc="t, [z,] y, x"),
    sa.Column("dtype", sa.String, nullable=False, doc="type of a pixel"),
    sa.Column("bytes", sa.BigInteger, nullable=False, doc="size on disk"),
    _ref("run_id", "the run that brought it"),
    info={"row": "pixels that the store keeps"},
)

run = sa.Table(
    "run",
    metadata,
    _key("run_id", "its number"),
    sa.Column("kind", sa.String, nullable=False, doc="ingest, import, link, score, solve, posterior, ..."),
    sa.Column("name", sa.String, nullable=False, doc="of what it made"),
    _ref("set_id", "the detection set that it worked on, once there is one", nullable=True),
    sa.Column(
        "params", sa.JSON(none_as_null=True), nullable=False, doc="the resolved settings, and what was estimated"
    ),
    sa.Column("code_version", sa.String, nullable=False, doc="version of trackdb"),
    sa.Column("model_digest", sa.String, doc="of the model that scored; NULL where none did"),
    sa.Column("seed", sa.BigInteger, doc="of what was drawn"),
    sa.Column("state", sa.String, nullable=False, doc="pending, done, failed, dropped"),
    sa.Column("started", sa.DateTime, nullable=False, doc="UTC"),
    sa.Column("finished", sa.DateTime, doc="UTC; NULL while it is pending"),
    sa.Column("process", sa.String, nullable=False, doc="who did it: pid 20658 (trackdb solve)"),
    info={"row": "a piece of work: who did what, with which settings"},
)

detection_set = sa.Table(
    "detection_set",
    metadata,
    _key("set_id", "its number"),
    _ref("dataset_id", "the movie"),
    sa.Column("name", sa.String, nullable=False, doc="unique in its dataset"),
    _ref("run_id", "the run that found them"),
    info={"row": "cells that were found in a movie, once"},
)

detection = sa.Table(
    "detection",
    metadata,
    _ref("det_id", "number of the cell; increases in that order within a set"),
    _ref("set_id", "the detection set"),
    _frame("t", "frame"),
    sa.Column("z", sa.REAL, doc="pixels as measured; NULL in 2D"),
    sa.Column("y", sa.REAL, nullable=False, doc="pixels as measured"),
    sa.Column("x", sa.REAL, nullable=False, doc="pixels as measured"),
    sa.Column("label", sa.BigInteger, nullable=False, doc="in the mask, or the id in a table; unique in its frame"),
    sa.Column("area", sa.REAL, doc="pixels or voxels; NULL for points"),
    _ref("feature_row", "row of its vectors in an array; nothing writes it yet", nullable=True),
    info={"row": "a cell in a frame; ordered by set_id, t"},
)

detection_feature = sa.Table(
    "detection_feature",
    metadata,
    _ref("det_id", "the cell"),
    sa.Column("bbox_z0", sa.Integer, doc="first plane; NULL in 2D"),
    sa.Column("bbox_y0", sa.Integer, doc="first row"),
    sa.Column("bbox_x0", sa.Integer, doc="first column"),
    sa.Column("bbox_z1", sa.Integer, doc="plane after the last; NULL in 2D"),
    sa.Column("bbox_y1", sa.Integer, doc="row after the last"),
    sa.Column("bbox_x1", sa.Integer, doc="column after the last"),
    sa.Column("border_px", sa.REAL, doc="pixels to the nearest border of the last two axes; 0 touches"),
    sa.Column("inertia_zz", sa.REAL, doc="pixels squared, of a unit mass; NULL in 2D"),
    sa.Column("inertia_zy", sa.REAL, doc="likewise"),
    sa.Column("inertia_zx", sa.REAL, doc="likewise"),
    sa.Column("inertia_yy", sa.REAL, doc="pixels squared, of a unit mass"),
    sa.Column("inertia_yx", sa.REAL, doc="likewise"),
    sa.Column("inertia_xx", sa.REAL, doc="likewise"),
    sa.Column(
        "intensity_mean",
        sa.REAL,
        doc="of the first channel, once more: a join would cost the view cells twice its time",
    ),
    info={"row": "what the pixels tell of a cell; the bounding box is half open, in pixels"},
)

detection_intensity = sa.Table(
    "detection_intensity",
    metadata,
    _ref("det_id", "the cell"),
    sa.Column("channel", sa.String, nullable=False, doc="name of the channel"),
    sa.Column("mean", sa.Double, doc="mean"),
    sa.Column("min", sa.Double, doc="darkest pixel"),
    sa.Column("max", sa.Double, doc="brightest pixel"),
    info={
        "row": "the brightness of a cell in a channel, over the pixels of its mask; NULL where one of them is no number"
    },
)

detection_property = sa.Table(
    "detection_property",
    metadata,
    _ref("det_id", "the cell"),
    sa.Column("name", sa.String, nullable=False, doc="of the property"),
    sa.Column("value", sa.Double, doc="a number; NULL for a text"),
    sa.Column("text", sa.String, doc="a text; NULL for a number"),
    info={"row": "what else the source tells of a cell; in blocks of one name"},
)

conflict = sa.Table(
    "conflict",
    metadata,
    _ref("set_id", "the detection set"),
    _ref("det_a", "the one"),
    _ref("det_b", "the other"),
    info={"row": "two detections that exclude each other; nothing writes it yet"},
)

edge = sa.Table(
    "edge",
    metadata,
    _ref("edge_id", "its number"),
    _ref("set_id", "the detection set"),
    _ref("source", "the earlier cell"),
    _ref("target", "the later cell; (source, target) is unique"),
    _frame("t", "frame of the source"),
    sa.Column("dt", sa.Integer, nullable=False, doc="frames that it leads over"),
    sa.Column("distance", sa.REAL, nullable=False, doc="micrometres, or pixels where the voxel size is not known"),
    sa.Column(
        "candidate",
        sa.Boolean,
        nullable=False,
        doc="False where only an imported tracking knows it: the truth must not leak into what a solver may choose",
    ),
    info={"row": "a link that may be; ordered by set_id, t, source; only ever grows"},
)

edge_score = sa.Table(
    "edge_score",
    metadata,
    _ref("run_id", "the score run"),
    _ref("edge_id", "the candidate"),
    sa.Column("score", sa.REAL, doc="on the scale that the run tells; NULL where it tells nothing"),
    info={"row": "what a score run says of a candidate"},
)

solution = sa.Table(
    "solution",
    metadata,
    _key("solution_id", "its number"),
    _ref("set_id", "the detection set"),
    _ref("run_id", "the solve or import"),
    sa.Column("name", sa.String, nullable=False, doc="unique in its dataset"),
    sa.Column("linker", sa.String, nullable=False, doc="what chose the links"),
    sa.Column("objective", sa.Double, doc="its cost; NULL for an imported tracking"),
    sa.Column("lower_bound", sa.Double, doc="no solution is cheaper; NULL for an imported tracking"),
    sa.Column("proven", sa.Boolean, doc="whether the two meet"),
    info={"row": "a tracking"},
)

solution_node = sa.Table(
    "solution_node",
    metadata,
    _ref("solution_id", "the solution"),
    _ref("det_id", "the cell"),
    _ref("track_id", "its track"),
    _ref("pre", "place of the track in the walk over the trees"),
    info={"row": "a cell that is part of a solution; ordered by solution_id, pre, frame"},
)

solution_edge = sa.Table(
    "solution_edge",
    metadata,
    _ref("solution_id", "the solution"),
    _ref("edge_id", "the link"),
    sa.Column("kind", sa.SmallInteger, nullable=False, doc="0 goes on, 1 to a daughter, 2 into a merge"),
    info={"row": "a link of a solution"},
)

solution_dual = sa.Table(
    "solution_dual",
    metadata,
    _ref("solution_id", "the solution"),
    _ref("det_id", "the cell"),
    sa.Column("dual", sa.Double, nullable=False, doc="its price"),
    info={"row": "the price of a cell in the optimum, from which answers are followed"},
)

track = sa.Table(
    "track",
    metadata,
    _ref("solution_id", "the solution"),
    _ref("track_id", "its number in the solution"),
    _ref("parent_id", "track of its mother; NULL: nobody is", nullable=True),
    _ref("lineage_id", "first track of its tree"),
    _frame("t_first", "first frame"),
    _frame("t_last", "last frame"),
    _ref("pre", "place in the walk: its descendants have pre to last"),
    _ref("last", "largest pre among its descendants"),
    sa.Column("generation", sa.Integer, nullable=False, doc="divisions since the top of the tree"),
    sa.Column("n_children", sa.Integer, nullable=False, doc="daughters"),
    info={"row": "a path without division; ordered by solution_id, pre"},
)

posterior = sa.Table(
    "posterior",
    metadata,
    _key("posterior_id", "its number"),
    _ref("set_id", "the detection set"),
    _ref("solution_id", "the solution"),
    _ref("run_id", "the run"),
    sa.Column("name", sa.String, nullable=False, doc="unique in its dataset"),
    sa.Column("method", sa.String, nullable=False, doc="how it was computed"),
    sa.Column("temperature", sa.Double, nullable=False, doc="what costs were divided by"),
    sa.Column("calibrated", sa.Boolean, nullable=False, doc="whether that was fitted to movies with truth"),
    info={"row": "how sure a solution is"},
)

edge_probability = sa.Table(
    "edge_probability",
    metadata,
    _ref("posterior_id", "the posterior"),
    _ref("edge_id", "the candidate"),
    sa.Column("probability", sa.REAL, nullable=False, doc="0 to 1"),
    sa.Column("how", sa.String, nullable=False, doc="exact, pruned, belief, sampled"),
    sa.Column("error", sa.REAL, doc="pruned: an estimate of what was left out; sampled: the standard error; else NULL"),
    info={"row": "how likely a candidate is a link"},
)

cell_outcome = sa.Table(
    "cell_outcome",
    metadata,
    _ref("posterior_id", "the posterior"),
    _ref("det_id", "the cell"),
    sa.Column("rank", sa.Integer, nullable=False, doc="1 is the likeliest"),
    sa.Column(
        "daughters",
        sa.JSON(none_as_null=True),
        nullable=False,
        doc="numbers of the cells: [] ends, [9] goes on, [9, 12] divides",
    ),
    sa.Column("probability", sa.REAL, nullable=False, doc="0 to 1"),
    sa.Column("how", sa.String, nullable=False, doc="exact, pruned, belief, sampled"),
    sa.Column("error", sa.REAL, doc="as of edge_probability"),
    info={"row": "what a cell may do next; those of a cell sum to 1"},
)

annotation = sa.Table(
    "annotation",
    metadata,
    sa.Column("key", sa.String, primary_key=True, doc="of the entry, unique for ever"),
    sa.Column("seq", sa.BigInteger, nullable=False, doc="place in the order of all entries"),
    sa.Column("at", sa.DateTime, nullable=False, quote=True, doc="UTC"),
    sa.Column("who", sa.String, nullable=False, doc="who said it"),
    sa.Column(
        "kind", sa.String, nullable=False, doc="choose, reject, begins, not_a_cell, segmentation, unsure, flag, undo"
    ),
    sa.Column("dataset", sa.String, nullable=False, doc="name of the movie"),
    _ref("det_id", "the cell; NULL for an undo", nullable=True),
    sa.Column("cell", sa.JSON(none_as_null=True), doc="the cell as it was: number, frame, place"),
    sa.Column("daughters", sa.JSON(none_as_null=True), doc="the cells that it becomes, likewise"),
    sa.Column("shown", sa.JSON(none_as_null=True), doc="what was on the screen"),
    sa.Column("solution", sa.String, doc="name of the solution that was shown"),
    sa.Column("posterior", sa.String, doc="name of the posterior that was shown"),
    sa.Column("blind", sa.Boolean, doc="whether the answer of the solver was hidden"),
    sa.Column("ms", sa.Integer, doc="milliseconds from question to answer"),
    sa.Column("undo_of", sa.String, doc="key of the entry that this one takes back"),
    sa.Column("note", sa.String, doc="what was added in words"),
    sa.Column("model", sa.String, doc="digest of the model that scored what was shown"),
    info={"row": "an entry of the decision log, as merged so far"},
)

mode = sa.Table(
    "mode",
    metadata,
    _ref("run_id", "the run"),
    _ref("det_id", "the cell"),
    sa.Column("mean", sa.REAL, doc="probability"),
    sa.Column("epistemic", sa.REAL, doc="doubt of the model"),
    sa.Column("aleatoric", sa.REAL, doc="doubt in the data"),
    sa.Column("decision", sa.String, doc="what it comes to"),
    info={"row": "what a classifier of cells says of one; nothing writes it yet"},
)
