"""Small whole files of cells and links, as other programs write them."""

import json
import struct
import zipfile

import numpy as np
import tifffile

from trackdb.storage.formats.mastodon_model import BYTES, LABEL, NAMES, NUMBERS

# ---------------------------------------------------------------------------------------------------------- Mastodon

XML = '<?xml version="1.0"?><MamutProject version="0.3"><SpaceUnits>pixel</SpaceUnits></MamutProject>'


def numbers_of(spots, links):
    body = struct.pack(">i", len(spots))
    for x, y, z, t in spots:
        body += struct.pack("<dddi", x, y, z, t) + struct.pack("<7d", 4, 0, 0, 4, 0, 4, 9.0)
    body += struct.pack(">i", len(links))
    return body + b"".join(struct.pack(">4i", source, target, 0, 0) for source, target in links)


def stream_of(body, *, block=1024, objects=b""):
    """Return bytes as Java's ObjectOutputStream writes them, in blocks."""
    out = b"\xac\xed\x00\x05"
    for at in range(0, len(body), block):
        part = body[at : at + block]
        out += (struct.pack(">BB", 0x77, len(part)) if len(part) < 256 else struct.pack(">BI", 0x7A, len(part))) + part
    return out + objects


def labels_of(words):
    """Return the labels of some spots as Mastodon writes them."""
    text = b"".join(struct.pack(">H", len(w.encode())) + w.encode() for w in words.values())
    ids = np.array(list(words), dtype=">i4").tobytes()
    return b"".join([
        NAMES, struct.pack(">i", 1), LABEL, NUMBERS, struct.pack(">i", len(words)), ids, BYTES,
        struct.pack(">i", len(text)), text,
    ])  # fmt: skip


def project(path, model, xml=XML, **members):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in ({"project.xml": xml, "model.raw": model} | members).items():
            if content is not None:
                archive.writestr(name, content)
    return path


# ----------------------------------------------------------------------------------------------------------- AceTree

NUCLEI = {
    1: "1, 1, -1, 2, -1, 10, 20, 3.5, 8, ABa, 99, \n2, 1, -1, 1, -1, 50, 60, 4.0, 9, P1, 99, \n"
       "3, 0, -1, 1, -1, 1, 1, 1.0, 1, , 0, \n",
    2: "1, 1, 2, -1, -1, 51, 60, 4.0, 9, P1, 99, \n2, 1, 1, 1, 2, 11, 20, 3.5, 8, ABa, 99, \n",
    3: "1, 1, 2, -1, -1, 9, 20, 3.0, 7, ABal\n2, 1, 2, -1, -1, 13, 20, 4.0, 7, ABar\n",
}  # fmt: skip


def zipped(path, nuclei, folder="nuclei/", **others):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for time, text in nuclei.items():
            archive.writestr(f"{folder}t{time:03d}-nuclei", text)
        for name, text in others.items():
            archive.writestr(name, text)
    return path


# ------------------------------------------------------------------------------------------------------------ btrack


def write_btrack(path, *, coords, tracks, spans, lbepr, properties=None, expression=None, **more):
    """Write objects and tracks as btrack's HDF5 file holds them."""
    import h5py

    with h5py.File(path, "w") as file:
        file["objects/obj_type_1/coords"] = np.array(coords, dtype=np.float32).reshape(len(coords), -1)
        file["objects/obj_type_1/labels"] = np.arange(len(coords), dtype=np.float32)[:, None] % 3
        for name, values in (properties or {}).items():
            file[f"objects/obj_type_1/properties/{name}"] = values
        file["tracks/obj_type_1/tracks"] = np.array(tracks, dtype=np.int32)
        file["tracks/obj_type_1/map"] = np.array(spans, dtype=np.uint32)
        file["tracks/obj_type_1/LBEPR"] = np.array(lbepr, dtype=np.int32)
        file["tracks/obj_type_1/fates"] = np.arange(len(lbepr), dtype=np.int32)
        if expression:
            file["tracks/obj_type_1"].attrs["f_expr"] = expression
        for name, values in more.items():
            file[name] = values
    return path


# ------------------------------------------------------------------------------------------- a dividing cell, in tables


def dividing(n_frames=8):
    """Return rows (id, frame, y, x, parent) of two cells, of which the first divides half way and both halves end."""
    rows = [(1 + 10 * t, t, 10.0, 5.0 + t, 1 + 10 * (t - 1) if t else -1) for t in range(n_frames // 2)]
    mother = rows[-1][0]
    for k in (2, 3):
        rows += [
            (k + 10 * t, t, 10.0 * k, 5.0 + t, k + 10 * (t - 1) if t > n_frames // 2 else mother)
            for t in range(n_frames // 2, n_frames)
        ]
    return rows + [(4 + 10 * t, t, 90.0, 5.0 + t, 4 + 10 * (t - 1) if t else -1) for t in range(n_frames)]


def write_text(path, header, rows, comma=","):
    """Write a table of text."""
    lines = [comma.join(header), *(comma.join(map(str, row)) for row in rows)]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def write_parents(path):
    """Write a table with a column of parents, an area and a name each."""
    rows = [(*row[:4], row[4] if row[4] >= 0 else "", 50 + row[0], f"cell {row[0]}") for row in dividing()]
    return write_text(path, ("id", "t", "y", "x", "parent_id", "area", "name"), rows)


def write_words(path):
    """Write a table with semicolons and decimal commas, whose ids are words."""
    rows = [
        (f"c{row[0]}", row[1], str(row[2]).replace(".", ","), str(row[3]).replace(".", ","), f"c{row[4]}")
        for row in dividing()
    ]
    rows = [(*row[:4], "" if row[4] == "c-1" else row[4]) for row in rows]
    return write_text(path, ("id", "t", "y", "x", "parent_id"), rows, ";")


def write_spots(path):
    """Write Mastodon's table of spots, and that of links beside it."""
    head = '"Label","ID","Spot frame","Spot position","Spot position"\n"","",""," Y"," X"\n"","","","(um)","(um)"\n'
    rows = dividing()
    path.write_text(head + "".join(f'"a","{i}","{t}","{y}","{x}"\n' for i, t, y, x, _ in rows))
    head = '"Label","ID","Link target IDs","Link target IDs"\n"","","Source spot id","Target spot id"\n"","","",""\n'
    links = "".join(f'"a -> a","{i}","{parent}","{i}"\n' for i, _, _, _, parent in rows if parent >= 0)
    path.with_name(path.name.replace("Spot", "Link")).write_text(head + links)
    return path


def write_positions(path):
    """Write a table aligned by tabs, whose positions stand in one column, with several sequences."""
    rows = [("s1", row[0], row[1], f'"[{row[2]}, {row[3]}]"', row[4]) for row in dividing()]
    rows += [("s2", row[0], row[1], '"[1, 2]"', -1) for row in dividing()]
    return write_text(path, ("sequence", "id", "time", "pos", "parent"), rows, "\t")


def write_napari(folder):
    """Write a folder of tracks and their graph."""
    folder.mkdir()
    rows = [(row[0] % 10, *row[1:4], 0.5) for row in dividing()]
    write_text(folder / "tracks.csv", ("track", "t", "y", "x", "score"), rows)
    (folder / "graph.json").write_text(json.dumps({"2": [1], "3": [1]}))
    return folder


def write_biotracks(folder):
    """Write a data package."""
    folder.mkdir()
    rows = dividing()
    head = ("cmso_object_id", "cmso_frame_id", "cmso_y_coord", "cmso_x_coord")
    write_text(folder / "objects.csv", head, [row[:4] for row in rows])
    lists = [(row[0] % 10, row[0]) for row in rows] + [(2, 31), (3, 31)]
    write_text(folder / "links.csv", ("cmso_link_id", "cmso_object_id"), lists)
    names = {"cmso_objects_table": "objects.csv", "cmso_links_table": "links.csv"}
    package = {"resources": [{"name": name, "path": path} for name, path in names.items()]}
    (folder / "dp.json").write_text(json.dumps(package))
    return folder


def write_sulston(path):
    """Write a table of cells with Sulston names."""
    names = {1: "AB", 2: "ABa", 3: "ABp", 4: "P1"}
    rows = [(f"{names[i % 10]}:{t + 1}", names[i % 10], t + 1, 3.5 + t, x, y) for i, t, y, x, _ in dividing()]
    return write_text(path, ("cellTime", "cell", "time", "z", "x", "y"), rows)


def write_lineage_mapper(folder, alive, tables):
    """Write masks with a square for each cell that lives in a frame, and tables ``trk-NAME.csv``."""
    folder.mkdir(exist_ok=True)
    for frame, labels in alive.items():
        mask = np.zeros((8, 40), dtype=np.uint16)
        for label in labels:
            mask[2:5, 7 * label - 5 : 7 * label - 1] = label
        tifffile.imwrite(folder / f"trk-seg_{frame:03d}.tif", mask)
    for name, content in tables.items():
        (folder / f"trk-{name}.csv").write_text(content)
    return folder
