"""Draw the pictures of the tutorial again: `python docs/pictures.py`; the commands are those that the tutorial has."""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

PICTURES = Path(__file__).parent / "tutorial"
STORE = "demo/demo.trackdb"
COMMANDS = (
    ("demo", "demo"),
    ("plot", "tree", STORE, "-o", "tree.svg"),
    ("plot", "overlay", STORE, "-o", "overlay.png", "--frame", "15"),
    ("plot", "reliability", STORE, "-o", "reliability.svg"),
)


def main() -> None:
    """Go through the commands in a folder that is thrown away, and keep the pictures."""
    PICTURES.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        for words in COMMANDS:
            subprocess.run([sys.executable, "-m", "trackdb.cli.main", *words, "-q"], cwd=folder, check=True, stdout=2)
        for picture in ("tree.svg", "overlay.png", "reliability.svg"):
            shutil.copy(Path(folder) / picture, PICTURES / picture)


if __name__ == "__main__":
    main()
