"""Documents as programs: the blocks of a page, and what runs each of them on small data."""

import atexit
import re
import shlex
import shutil
import subprocess
import tempfile
import tomllib
from dataclasses import dataclass
from pathlib import Path

from trackdb.engine.config import load_config
from trackdb.storage.sandbox import ask

from .command_line import run

RUN = ("bash", "python", "sql", "toml")
FENCE = re.compile(r"^```(\S*)\n(.*?)^```$", flags=re.M | re.S)
NOT_RUN = re.compile(r"<!-- not run: (.+?) -->\s*(<!-- \w+ -->\s*)?$")
_simulated: dict[str, Path] = {}
"""Movies that pages simulate, by the command: several pages begin with the same."""
STORE = re.compile(r"[\w/-]+\.trackdb\b")


@dataclass(frozen=True)
class Block:
    """A block of code.

    Parameters
    ----------
    language, text : str
        As the page has them.
    line : int
        Where it begins.
    reason : str
        Why it is not run; "" where it is.
    """

    language: str
    text: str
    line: int
    reason: str


def blocks_of(page: Path) -> list[Block]:
    """Return the blocks of a page in order."""
    text = page.read_text()
    found = []
    for match in FENCE.finditer(text):
        excused = NOT_RUN.search(text[: match.start()])
        line = text.count("\n", 0, match.start()) + 1
        found.append(Block(match[1], match[2], line, excused[1] if excused else ""))
    return found


def run_page(page: Path, *, done: str = "") -> int:
    """Run the blocks of a page in the working folder, one after the other, and return how many ran.

    Python blocks share their names; SQL is asked of the store that was named last. The command `done` was given before.
    """
    names: dict[str, object] = {}
    store, n_run = "", 0
    for block in blocks_of(page):
        if block.language not in RUN or block.reason:
            continue
        try:
            _run(block, names, store, done)
        except (Exception, SystemExit) as error:
            raise AssertionError(f"{page.name} line {block.line}: {error}") from error
        store = ([store, *STORE.findall(block.text)])[-1]
        n_run += 1
    return n_run


def _run(block: Block, names: dict[str, object], store: str, done: str) -> None:
    match block.language:
        case "bash":
            for line in _lines(block.text):
                if line != done:
                    _command(line)
        case "python":
            exec(compile(block.text, f"line {block.line}", "exec"), names)
        case "sql":
            for query in filter(str.strip, block.text.split(";")):
                assert ask(Path(store), query).rows.column_names
        case "toml":
            _settings(block.text)


def _lines(text: str) -> list[str]:
    """Return the commands of a block; a backslash at the end, and an open quote, go on in the next line."""
    lines, held = [], ""
    for line in text.replace("\\\n", " ").splitlines():
        held = f"{held}\n{line}" if held else line
        if held.count('"') % 2 == 0:
            lines.append(held)
            held = ""
    return [line for line in lines if line.strip() and not line.lstrip().startswith("#")]


def _command(line: str) -> None:
    """Run a command of trackdb in this process, anything else in a shell; ``# exit 5`` says how it has to end."""
    wanted = re.search(r"# exit (\d+)", line)
    code = int(wanted[1]) if wanted else 0
    words = shlex.split(line, comments=True)
    if line in _simulated:
        shutil.copytree(_simulated[line], words[words.index("-o") + 1])
        return
    if words[0] == "trackdb":
        run(*words[1:], code=code)
        if words[1] == "simulate":
            place = _simulated[line] = Path(tempfile.mkdtemp()) / "movie"
            atexit.register(shutil.rmtree, place.parent)
            shutil.copytree(words[words.index("-o") + 1], place)
        return
    done = subprocess.run(["bash", "-c", line], capture_output=True, text=True)
    assert done.returncode == code, done.stderr


def _settings(text: str) -> None:
    """Read settings as a store would; a table of a project file has only to be TOML."""
    if "project" in tomllib.loads(text):
        return
    file = Path("settings-of-a-page.toml")
    file.write_text(text)
    load_config(None, file)
    file.unlink()
