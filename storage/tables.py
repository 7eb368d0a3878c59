"""The schema of a store, said once in SQLAlchemy Core; the views on top of it stand in `queries`.

Big tables carry no keys and no indices: two keys cost four times the insert in DuckDB and three times the disk, and
rows that are sorted by what is asked for are found by zone maps alone. Their rows are unique by construction: numbers
come from counters in `meta`, and edges are compared with the known ones in the transaction that adds them. Small tables
have primary keys. There are no foreign keys (DuckDB refuses legal updates of referenced rows).
"""

from __future__ import annotations

import sqlalchemy as sa

SCHEMA_VERSION = 4  # goes up with every change of tables, views or macros, and `migrations` gets a step
OLDEST_READER = 2  # the oldest schema version whose reader still understands what we write

metadata = sa.MetaData()


def _key(name: str) -> sa.Column[int]:
    """Return the primary key of a small table; the store hands out the numbers."""
    return sa.Column(name, sa.BigInteger, primary_key=True, autoincrement=False)


def _ref(name: str, *, nullable: bool = False) -> sa.Column[int]:
    """Return a column that holds the number of a row in another table."""
    return sa.Column(name, sa.BigInteger, nullable=nullable)


def _frame(name: str) -> sa.Column[int]:
    return sa.Column(name, sa.Integer, nullable=False)


meta = sa.Table(
    "meta",
    metadata,
    sa.Column("key", sa.String, primary_key=True),
    sa.Column("value", sa.String, nullable=False),
)

dataset = sa.Table(
    "dataset",
    metadata,
    _key("dataset_id"),
    sa.Column("name", sa.String, nullable=False, unique=True),
    sa.Column("n_frames", sa.Integer, nullable=False),
    sa.Column("ndim", sa.Integer, nullable=False),
    sa.Column("shape", sa.JSON(none_as_null=True)),  # pixels of a mask, [z,] y, x; NULL for tables of points
    sa.Column("scale_z", sa.Double),  # micrometres a voxel; NULL where unknown
    sa.Column("scale_y", sa.Double),
    sa.Column("scale_x", sa.Double),
    sa.Column("unit", sa.String, nullable=False),
    sa.Column("frame_interval_s", sa.Double),
    sa.Column("source", sa.String, nullable=False),
    _ref("run_id"),
)

array_ref = sa.Table(
    "array_ref",
    metadata,
    _key("array_id"),
    _ref("dataset_id"),
    sa.Column("kind", sa.String, nullable=False),  # images, masks, likelihoods, embeddings
    sa.Column("channel", sa.String, nullable=False),
    sa.Column("path", sa.String, nullable=False),  # below the store, arrays/<sha256>; one content may serve twice
    sa.Column("sha256", sa.String, nullable=False),
    sa.Column("shape", sa.JSON(none_as_null=True), nullable=False),
    sa.Column("dtype", sa.String, nullable=False),
    sa.Column("bytes", sa.BigInteger, nullable=False),
    _ref("run_id"),
)

run = sa.Table(
    "run",
    metadata,
    _key("run_id"),
    sa.Column("kind", sa.String, nullable=False),  # ingest, import, link, score, solve, posterior, ...
    sa.Column("name", sa.String, nullable=False),
    _ref("set_id", nullable=True),  # the detection set it worked on, once there is one
    sa.Column("params", sa.JSON(none_as_null=True), nullable=False),  # the resolved settings and what was estimated
    sa.Column("code_version", sa.String, nullable=False),
    sa.Column("model_digest", sa.String),
    sa.Column("seed", sa.BigInteger),
    sa.Column("state", sa.String, nullable=False),  # pending, done, failed, dropped
    sa.Column("started", sa.DateTime, nullable=False),  # UTC
    sa.Column("finished", sa.DateTime),
    sa.Column("process", sa.String, nullable=False),  # who did it: "pid 20658 (trackdb solve)"
)

detection_set = sa.Table(
    "detection_set",
    metadata,
    _key("set_id"),
    _ref("dataset_id"),
    sa.Column("name", sa.String, nullable=False),
    _ref("run_id"),
)

detection = sa.Table(  # ordered by (set_id, t); det_id increases in that order within a set
    "detection",
    metadata,
    _ref("det_id"),
    _ref("set_id"),
    _frame("t"),
    sa.Column("z", sa.REAL),  # pixels as measured; NULL in 2D
    sa.Column("y", sa.REAL, nullable=False),
    sa.Column("x", sa.REAL, nullable=False),
    sa.Column("label", sa.BigInteger, nullable=False),
    sa.Column("area", sa.REAL),
    _ref("feature_row", nullable=True),
)

detection_feature = sa.Table(  # what the pixels tell; the bounding box is half open, in pixels
    "detection_feature",
    metadata,
    _ref("det_id"),
    sa.Column("bbox_z0", sa.Integer),
    sa.Column("bbox_y0", sa.Integer),
    sa.Column("bbox_x0", sa.Integer),
    sa.Column("bbox_z1", sa.Integer),
    sa.Column("bbox_y1", sa.Integer),
    sa.Column("bbox_x1", sa.Integer),
    sa.Column("border_px", sa.REAL),  # to the borders of the last two axes; 0 touches
    sa.Column("inertia_zz", sa.REAL),  # pixels squared, of a unit mass; the z ones are NULL in 2D
    sa.Column("inertia_zy", sa.REAL),
    sa.Column("inertia_zx", sa.REAL),
    sa.Column("inertia_yy", sa.REAL),
    sa.Column("inertia_yx", sa.REAL),
    sa.Column("inertia_xx", sa.REAL),
    sa.Column("intensity_mean", sa.REAL),  # of the first channel, once more: a join would cost `cells` twice its time
)

detection_intensity = sa.Table(  # over the pixels of a mask; NULL where one of them is no number
    "detection_intensity",
    metadata,
    _ref("det_id"),
    sa.Column("channel", sa.String, nullable=False),
    sa.Column("mean", sa.Double),
    sa.Column("min", sa.Double),
    sa.Column("max", sa.Double),
)

detection_property = sa.Table(  # what else the source tells of a cell, in blocks of one name; a number or a text
    "detection_property",
    metadata,
    _ref("det_id"),
    sa.Column("name", sa.String, nullable=False),
    sa.Column("value", sa.Double),
    sa.Column("text", sa.String),
)

conflict = sa.Table("conflict", metadata, _ref("set_id"), _ref("det_a"), _ref("det_b"))

edge = sa.Table(  # ordered by (set_id, t, source); unique (source, target); only ever grows
    "edge",
    metadata,
    _ref("edge_id"),
    _ref("set_id"),
    _ref("source"),
    _ref("target"),
    _frame("t"),
    sa.Column("dt", sa.Integer, nullable=False),
    sa.Column("distance", sa.REAL, nullable=False),
    # False where only an imported tracking knows it: the truth must not leak into what a solver may choose
    sa.Column("candidate", sa.Boolean, nullable=False),
)

edge_score = sa.Table("edge_score", metadata, _ref("run_id"), _ref("edge_id"), sa.Column("score", sa.REAL))

solution = sa.Table(
    "solution",
    metadata,
    _key("solution_id"),
    _ref("set_id"),
    _ref("run_id"),
    sa.Column("name", sa.String, nullable=False),  # unique in its dataset
    sa.Column("linker", sa.String, nullable=False),
    sa.Column("objective", sa.Double),  # NULL for an imported tracking
    sa.Column("lower_bound", sa.Double),
    sa.Column("proven", sa.Boolean),
)

solution_node = sa.Table(  # ordered by (solution_id, pre, frame)
    "solution_node", metadata, _ref("solution_id"), _ref("det_id"), _ref("track_id"), _ref("pre")
)

solution_edge = sa.Table(
    "solution_edge",
    metadata,
    _ref("solution_id"),
    _ref("edge_id"),
    sa.Column("kind", sa.SmallInteger, nullable=False),  # schema.LinkKind
)

solution_dual = sa.Table(
    "solution_dual", metadata, _ref("solution_id"), _ref("det_id"), sa.Column("dual", sa.Double, nullable=False)
)

track = sa.Table(  # ordered by (solution_id, pre)
    "track",
    metadata,
    _ref("solution_id"),
    _ref("track_id"),
    _ref("parent_id", nullable=True),  # NULL: nobody is its mother
    _ref("lineage_id"),
    _frame("t_first"),
    _frame("t_last"),
    _ref("pre"),
    _ref("last"),
    sa.Column("generation", sa.Integer, nullable=False),
    sa.Column("n_children", sa.Integer, nullable=False),
)

posterior = sa.Table(
    "posterior",
    metadata,
    _key("posterior_id"),
    _ref("set_id"),
    _ref("solution_id"),
    _ref("run_id"),
    sa.Column("name", sa.String, nullable=False),
    sa.Column("method", sa.String, nullable=False),
    sa.Column("temperature", sa.Double, nullable=False),
    sa.Column("calibrated", sa.Boolean, nullable=False),
)

edge_probability = sa.Table(
    "edge_probability",
    metadata,
    _ref("posterior_id"),
    _ref("edge_id"),
    sa.Column("probability", sa.REAL, nullable=False),
    sa.Column("how", sa.String, nullable=False),  # exact, pruned, belief, sampled
    sa.Column("error", sa.REAL),
)

cell_outcome = sa.Table(
    "cell_outcome",
    metadata,
    _ref("posterior_id"),
    _ref("det_id"),
    sa.Column("rank", sa.Integer, nullable=False),
    sa.Column("daughters", sa.JSON(none_as_null=True), nullable=False),
    sa.Column("probability", sa.REAL, nullable=False),
    sa.Column("how", sa.String, nullable=False),
    sa.Column("error", sa.REAL),
)

annotation = sa.Table(  # the decision log as merged so far
    "annotation",
    metadata,
    sa.Column("key", sa.String, primary_key=True),
    sa.Column("seq", sa.BigInteger, nullable=False),
    sa.Column("at", sa.DateTime, nullable=False, quote=True),
    sa.Column("who", sa.String, nullable=False),
    sa.Column("kind", sa.String, nullable=False),
    sa.Column("dataset", sa.String, nullable=False),
    _ref("det_id", nullable=True),
    sa.Column("cell", sa.JSON(none_as_null=True)),
    sa.Column("daughters", sa.JSON(none_as_null=True)),
    sa.Column("shown", sa.JSON(none_as_null=True)),
    sa.Column("solution", sa.String),
    sa.Column("posterior", sa.String),
    sa.Column("blind", sa.Boolean),
    sa.Column("ms", sa.Integer),
    sa.Column("undo_of", sa.String),
    sa.Column("note", sa.String),
    sa.Column("model", sa.String),
)

mode = sa.Table(
    "mode",
    metadata,
    _ref("run_id"),
    _ref("det_id"),
    sa.Column("mean", sa.REAL),
    sa.Column("epistemic", sa.REAL),
    sa.Column("aleatoric", sa.REAL),
    sa.Column("decision", sa.String),
)
