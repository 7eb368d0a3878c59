"""The commands that write, each with the folder that it begins in: small movies, and all that comes of them."""

import shutil
import tarfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from .command_line import run
from .movies import DIVIDING, dividing_cells, write_ctc, write_rows

STORE = "m.trackdb"
SMALL_NETWORK = """[train]
window = 2
d_model = 16
heads = 2
layers = 1
epochs = 2
samples_per_epoch = 8
batch = 4
lr = 0.01
augment = 1
"""


@dataclass(frozen=True)
class Command:
    """A command that writes.

    Parameters
    ----------
    words : callable
        What is given, by the folder of the case and that of the sources.
    begins : str
        What stands in the folder before: the name of a stage, or nothing.
    staged : bool
        Whether it commits several stages, each whole.
    network : bool
        Whether it needs PyTorch.
    after : tuple of str
        Stages that write what it reads.
    changes : bool
        Whether anything can be seen of it.
    gradual : bool
        Whether it gives one answer after the other, each whole.
    """

    words: Callable[[Path, Path], list]
    begins: str = ""
    staged: bool = False
    network: bool = False
    after: tuple[str, ...] = ()
    changes: bool = True
    gradual: bool = False


def on_store(*words, then=()):
    """Words that name the store behind the verb."""
    return lambda folder, sources: [
        *words,
        folder / STORE,
        *(word(folder, sources) if callable(word) else word for word in then),
    ]


def out(name):
    return lambda folder, sources: folder / name


def source(name):
    return lambda folder, sources: sources / name


COMMANDS = {
    "ingest masks": Command(
        lambda folder, sources: ["ingest", sources / "movie", "-o", folder / STORE, "--name", "movie"]
    ),
    "ingest table": Command(
        lambda folder, sources: ["ingest", sources / "table.csv", "-o", folder / STORE, "--name", "movie"]
    ),
    "import": Command(on_store("import", then=(source("table.csv"), "--name", "theirs")), "table"),
    "link": Command(on_store("link"), "table"),
    "score": Command(on_store("score", then=("--by", "distance")), "linked"),
    "score by a model": Command(
        on_store("score", then=("--by", source("model"), "--name", "net", "--embeddings")), "masks", network=True
    ),
    "solve": Command(on_store("solve", then=("--name", "one")), "table", staged=True),
    "solve by windows": Command(on_store("solve", then=("--window", "2", "--name", "one")), "table", staged=True),
    "posterior": Command(on_store("posterior", then=("--name", "p")), "solved"),
    "annotate": Command(on_store("annotate", then=("3", "--ends", "--as", "ana")), "solved"),
    "annotations import": Command(
        on_store("annotations", "import", then=(source("said.jsonl"),)), "solved", after=("said",)
    ),
    "annotations undo": Command(on_store("annotations", "undo", then=("1", "--as", "ana")), "said"),
    "annotations export": Command(on_store("annotations", "export", then=("-o", out("said.jsonl"))), "said"),
    "review": Command(on_store("review", then=("4",)), "weighed", gradual=True),
    "train": Command(
        lambda folder, sources: [
            *("train", "association", folder / STORE, "--config", sources / "small.toml", "-o", folder / "model")
        ],
        "masks",
        network=True,
    ),
    "drop": Command(on_store("drop", then=("solution", "one", "--with-dependents", "--yes")), "weighed"),
    "drop dataset": Command(on_store("drop", then=("dataset", "movie", "--with-dependents", "--yes")), "masks solved"),
    "compact": Command(on_store("compact"), "dropped", changes=False),
    "migration": Command(on_store("info"), "old"),
    "export ctc": Command(on_store("export", "ctc", then=("-o", out("01_RES"))), "masks solved"),
    "export geff": Command(on_store("export", "geff", then=("-o", out("out.geff"))), "solved"),
    "export csv": Command(on_store("export", "csv", then=("-o", out("tables"))), "solved"),
    "export trackmate": Command(on_store("export", "trackmate", then=("-o", out("out.xml"))), "solved"),
}


def write_sources(folder: Path) -> None:
    """Write what commands read: masks with images and truth, a table, and settings of a small network."""
    rng = np.random.default_rng(0)
    home = np.array([[15, 15], [15, 45], [45, 15], [45, 45]])
    walk = home + np.cumsum(rng.integers(-1, 2, (5, 4, 2)), axis=0)
    centres = [{k + 1: tuple(place) for k, place in enumerate(frame.tolist())} for frame in walk]
    tracks = [(k, 0, 4, 0) for k in range(1, 5)]
    write_ctc(folder / "movie", centres=centres, tracks=tracks, shape=(60, 60), images=True)
    write_rows(folder / "table.csv", dividing_cells(n_frames=5, side=3), header=DIVIDING)
    (folder / "small.toml").write_text(SMALL_NETWORK)


STAGES = {
    "table": ("", lambda sources: [("ingest", sources / "table.csv", "-o", STORE, "--name", "movie")]),
    "linked": ("table", lambda _: [("link", STORE)]),
    "solved": ("linked", lambda _: [("solve", STORE, "--name", "one")]),
    "weighed": ("solved", lambda _: [("posterior", STORE)]),
    "said": (
        "solved",
        lambda sources: [
            ("annotate", STORE, "3", "--ends", "--as", "ana"),
            ("annotate", STORE, "4", "--flag", "--as", "bob"),
            ("annotations", "export", STORE, "-o", sources / "said.jsonl"),
        ],
    ),
    "dropped": ("weighed", lambda _: [("drop", STORE, "solution", "one", "--with-dependents", "--yes")]),
    "masks": ("", lambda sources: [("ingest", sources / "movie", "-o", STORE, "--name", "movie")]),
    "masks solved": ("masks", lambda _: [("solve", STORE, "--name", "one")]),
}
"""What a stage is made of: the stage before it, and commands."""


def make_stage(name: str, stages: Path, sources: Path) -> Path:
    """Return the folder of a stage; it and those before it are made when they are first asked for."""
    folder = stages / name
    if folder.exists():
        return folder
    if name == "old":
        with tarfile.open(Path(__file__).parent / "fixtures" / "store_v2.tar.xz") as packed:
            packed.extractall(folder, filter="data")
        (folder / "store_v2.trackdb").rename(folder / STORE)
        return folder
    before, commands = STAGES[name]
    if before:
        shutil.copytree(make_stage(before, stages, sources), folder)
    else:
        folder.mkdir()
    for words in commands(sources):
        run(*(folder / STORE if word is STORE else word for word in words))
    return folder


def begin(command: Command, stages: Path, sources: Path, folder: Path) -> None:
    """Put what a command begins with into a folder that is not there yet."""
    for name in command.after:
        make_stage(name, stages, sources)
    if command.begins:
        shutil.copytree(make_stage(command.begins, stages, sources), folder)
    else:
        folder.mkdir()
