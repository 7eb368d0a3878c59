"""Trackings drawn by hand, written as TrackMate, as lists of tracks in XML, and as GEFF.

One movie of five frames; numbers are spot IDs. 10 divides, 16 and 17 merge into 18, 30 is missed in frame 2, and 40 is
in no track::

    frame    0     1     2     3     4
             10 -- 11 -- 12 -- 14
                      \\_ 13 -- 15
             20 -- 21 -- 16 _
             22 -- 23 -- 17 _\\_ 18
             30 -- 31 ........ 32 -- 33
             40
"""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np

# ID: frame, y, x in pixels
SPOTS = {
    10: (0, 10, 20), 11: (1, 10, 22), 12: (2, 8, 24), 13: (2, 13, 24), 14: (3, 8, 26), 15: (3, 14, 26),
    20: (0, 30, 20), 21: (1, 30, 22), 16: (2, 31, 24), 22: (0, 36, 20), 23: (1, 36, 22), 17: (2, 35, 24),
    18: (3, 33, 26), 30: (0, 50, 20), 31: (1, 50, 22), 32: (3, 50, 26), 33: (4, 50, 28), 40: (0, 60, 60),
}  # fmt: skip
TRACKS = {
    0: [(10, 11), (11, 12), (11, 13), (12, 14), (13, 15)],
    1: [(20, 21), (21, 16), (22, 23), (23, 17), (16, 18), (17, 18)],
    2: [(30, 31), (31, 32), (32, 33)],
}
LINKS = {link for links in TRACKS.values() for link in links}


def write_trackmate(
    path: Path,
    *,
    spots=SPOTS,
    tracks=TRACKS,
    visible=(0, 1, 2),
    size=(2.0, 0.5, 0.5),
    units='spatialunits="micron" timeunits="min"',
    image='nslices="1"',
    interval=5.0,
    extra=lambda spot: "",
    text=lambda spot: "",
    head="",
    names=None,
) -> Path:
    """Write spots as TrackMate does: positions in units of length, from pixels of `size` ``(z, y, x)``."""
    lines = ['<?xml version="1.0" encoding="UTF-8"?>', head, '<TrackMate version="7.10.2">', f"<Model {units}>"]
    lines += [f'<AllSpots nspots="{len(spots)}">']
    for frame in sorted({place[0] for place in spots.values()}):
        lines.append(f'<SpotsInFrame frame="{frame}">')
        for spot, (t, *z, y, x) in spots.items():
            if t == frame:
                place = (*(z or [0]), y, x)
                where = "".join(
                    f' POSITION_{axis}="{value * step!r}"' for axis, value, step in zip("ZYX", place, size, strict=True)
                )
                lines.append(
                    f'<Spot ID="{spot}" name="ID{spot}" FRAME="{t}" POSITION_T="{t * interval!r}"{where} RADIUS="2.5" '
                    f'VISIBILITY="1" {extra(spot)}>{text(spot)}</Spot>'
                )
        lines.append("</SpotsInFrame>")
    lines += ["</AllSpots>", "<AllTracks>"]
    for track, links in tracks.items():
        name = (names or {}).get(track, f"Track_{track}")
        lines.append(f'<Track name="{name}" TRACK_ID="{track}" NUMBER_SPOTS="{len(links) + 1}">')
        lines += [f'<Edge SPOT_SOURCE_ID="{a}" SPOT_TARGET_ID="{b}" LINK_COST="0.25" />' for a, b in links]
        lines.append("</Track>")
    lines += ["</AllTracks>", "<FilteredTracks>", *(f'<TrackID TRACK_ID="{track}" />' for track in visible)]
    lines += ["</FilteredTracks>", "</Model>", "<Settings>"]
    lines.append(
        f'<ImageData filename="a.tif" {image} pixelwidth="{size[2]}" pixelheight="{size[1]}" voxeldepth="{size[0]}" '
        f'timeinterval="{interval}" />'
    )
    lines += ["</Settings>", "</TrackMate>"]
    path.write_text("\n".join(line for line in lines if line) + "\n", encoding="utf-8")
    return path


def chains(links=LINKS) -> list[list[int]]:
    """Cut the graph of links into paths, as lists of tracks tell them, the first spots first."""
    after, before = {}, {}
    for a, b in sorted(links):
        after.setdefault(a, []).append(b)
        before.setdefault(b, []).append(a)
    heads = [s for s in SPOTS if len(before.get(s, [])) != 1 or len(after[before[s][0]]) != 1]
    paths = []
    for head in heads:
        path = [head]
        while len(after.get(path[-1], [])) == 1 and len(before[after[path[-1]][0]]) == 1:
            path.append(after[path[-1]][0])
        paths.append(path)
    return paths


def _detections(path) -> str:
    return "".join(f'<detection t="{t}" x="{x}" y="{y}" z="0.0" />\n' for t, y, x in (SPOTS[spot] for spot in path))


def write_particles(
    path: Path, *, root="Tracks", attributes='spaceUnits="pixel" frameInterval="2.0" timeUnits="sec"'
) -> Path:
    """Write the paths as TrackMate exports them, or (``root="root"``) as the ISBI challenge takes them."""
    paths = chains()
    particles = "".join(f'<particle nSpots="{len(p)}">\n{_detections(p)}</particle>\n' for p in paths)
    inside = particles if root == "Tracks" else f"<TrackContestISBI2012>\n{particles}</TrackContestISBI2012>\n"
    told = f'nTracks="{len(paths)}" {attributes}' if root == "Tracks" else ""
    path.write_text(f'<?xml version="1.0"?>\n<{root} {told}>\n{inside}</{root}>\n')
    return path


def write_icy(path: Path, *, links=None) -> Path:
    """Write the paths as Icy does, tied by a list of links."""
    paths = chains()
    tracks = "".join(f'<track id="{p[0]}">\n{_detections(p)}</track>\n' for p in paths)
    if links is None:
        ends = {p[-1]: p[0] for p in paths}
        links = [(ends[a], b) for a, b in sorted(LINKS) if a in ends and b in {p[0] for p in paths}]
    listed = "".join(f'<link from="{a}" to="{b}" />\n' for a, b in links)
    inside = f'<trackfile version="1" />\n<trackgroup>\n{tracks}</trackgroup>\n<linklist>\n{listed}</linklist>'
    path.write_text(f"<root>\n{inside}\n</root>\n")
    return path


def write_geff(
    path: Path,
    *,
    zarr_format=2,
    directed=True,
    space_unit="pixel",
    scale=(0.5, 0.5),
    scaled_unit="micrometer",
    props=None,
    edge_props=None,
    edges=None,
    compressors="auto",
    **metadata,
) -> Path:
    """Write the drawn movie by hand as the standard says, with the axes t, y and x."""
    import zarr

    ids = np.array(list(SPOTS), dtype=np.uint64)
    places = np.array([SPOTS[spot] for spot in SPOTS], dtype=np.float64)
    node_props = {"t": places[:, 0].astype(np.int64), "y": places[:, 1], "x": places[:, 2], **(props or {})}
    edge_props = edge_props or {}
    links = np.array(sorted(LINKS) if edges is None else edges, dtype=np.uint64).reshape(-1, 2)
    units = {"unit": space_unit} | ({"scaled_unit": scaled_unit} if scaled_unit else {})
    axes = [{"name": "t", "type": "time", "unit": "frame", "scale": 5.0, "scaled_unit": "minute"}]
    for place, axis in enumerate("yx"):
        axes.append({"name": axis, "type": "space", **units} | ({"scale": scale[place]} if scale else {}))
    told = {
        "geff_version": "1.1",
        "directed": directed,
        "axes": axes,
        "node_props_metadata": {name: _about(name, values) for name, values in node_props.items()},
        "edge_props_metadata": {name: _about(name, values) for name, values in edge_props.items()},
        **metadata,
    }
    group = zarr.open_group(path, mode="w", zarr_format=zarr_format)
    group.attrs["geff"] = {key: value for key, value in told.items() if value is not None}
    for kind, array, named in (("nodes", ids, node_props), ("edges", links, edge_props)):
        inside = group.create_group(kind)
        inside.create_array("ids", data=array, compressors=compressors)
        below = inside.create_group("props")
        for name, values in named.items():
            values, missing = values if isinstance(values, tuple) else (values, None)
            prop = below.create_group(name)
            prop.create_array("values", data=values, compressors=compressors)
            if missing is not None:
                prop.create_array("missing", data=missing, compressors=compressors)
    return path


def _about(name, values) -> dict:
    values = values[0] if isinstance(values, tuple) else values
    return {"identifier": name, "dtype": "str" if values.dtype.kind in "UT" else values.dtype.name, "varlength": False}


def ids_by_place(source) -> dict:
    """Return frame and label of each point as a spot ID, found by its place."""
    known = {place: spot for spot, place in SPOTS.items()}
    found = {}
    for batch in source.frames():
        for label, (y, x) in zip(batch.points.label.tolist(), batch.points.position_px.tolist(), strict=True):
            found[batch.frame, label] = known[batch.frame, round(y, 6), round(x, 6)]
    return found


def links_by_place(source) -> set:
    """Return the links of the only lineage in spot IDs."""
    (lineage,) = source.lineages
    spot = ids_by_place(source)
    cells = [spot[cell] for cell in zip(lineage.frame.tolist(), lineage.label.tolist(), strict=True)]
    return {(cells[a], cells[b]) for a, b in zip(lineage.source, lineage.target, strict=True)}


def changed_geff(path: Path, change: Callable[[dict], object]) -> Path:
    """Change the GEFF's metadata in place."""
    file = path / ".zattrs"
    told = json.loads(file.read_text())
    change(told["geff"])
    file.write_text(json.dumps(told))
    return path


def replaced_array(path: Path, name: str, values, **options) -> Path:
    """Write another array over one of a GEFF."""
    import zarr

    zarr.create_array(path / name, data=np.asarray(values), zarr_format=2, overwrite=True, **options)
    return path
