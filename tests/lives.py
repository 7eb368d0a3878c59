"""A warm process that forks a life for each command: imports and kernels are there, DuckDB starts with each life.

It runs under `faulty_disk.c`. Told a life as a line of JSON, it lets it work, and answers with how it ended.
"""

import ctypes
import json
import os
import signal
import sys
import threading
import uuid
from pathlib import Path

LONGEST_S = 300  # a life that takes longer hangs


def warm() -> None:
    """Import what commands import inside of themselves, and load the kernels that they call."""
    import numpy as np
    import scipy.spatial
    import tifffile  # noqa: F401
    import zarr  # noqa: F401

    import trackdb.engine.exports
    import trackdb.engine.imports.importing
    import trackdb.engine.posterior.stage
    import trackdb.engine.review.session
    import trackdb.engine.scorers.distance
    import trackdb.engine.scorers.overlap
    import trackdb.server.serving  # noqa: F401
    from trackdb.engine import ingest
    from trackdb.engine.grid import Grid, nearest_by_grid
    from trackdb.engine.measure import measure
    from trackdb.solvers.ilp import IlpSolver
    from trackdb.solvers.posterior.marginals import estimate
    from trackdb.testing.problems import crowded_movie

    small = crowded_movie(0, n_frames=3, per_frame=4)
    IlpSolver().solve(small)
    estimate(small)
    start = np.array([0, 1, 2])
    nearest_by_grid(Grid.of(np.zeros((2, 2)), start, 1.0), start, start[:2], 1.0, 1, 0)
    measure(np.ones((2, 2), dtype=np.uint16), {"a": np.ones((2, 2), dtype=np.uint16)})
    scipy.spatial.cKDTree(np.zeros((1, 2)))
    ingest.BATCH_ROWS = 1  # a commit for each frame


def warm_networks() -> None:
    """Import PyTorch, and what needs it."""
    import torch

    import trackdb.engine.models.windows
    import trackdb.engine.training.association  # noqa: F401

    torch.set_num_threads(1)


def telling(acknowledged: int) -> None:
    """Have each commit and each entry of the decision log told once it is behind a caller."""
    from trackdb.storage import decision_log

    from .acknowledged import tell_commits

    def told(write):
        def written(store, decisions):
            write(store, decisions)
            os.write(acknowledged, "".join(f"entry {d.key}\n" for d in decisions).encode())

        return written

    tell_commits(acknowledged)
    for name in ("write_lines", "write_together"):
        write = getattr(decision_log, name)
        for module in list(sys.modules.values()):
            if getattr(module, name, None) is write:
                setattr(module, name, told(write))


def review(place: str, answers: int, acknowledged: int) -> int:
    """Serve a review and answer it, until `answers` count; what the server acknowledged is told."""
    from trackdb.engine.config import load_config
    from trackdb.engine.review.session import ReviewSession
    from trackdb.server import serving
    from trackdb.storage.duckdb_store import DuckDBStore

    from .reviews import Tab

    def answer(address):
        code = 1
        try:
            with Tab(address) as tab:
                while tab.state["progress"]["answered"] < answers:
                    key = str(uuid.uuid4())
                    reply = tab.answer(key=key)
                    if reply.status_code != 200:
                        print(f"error: {reply.status_code} {reply.text}", file=sys.stderr, flush=True)
                        os._exit(3)
                    os.write(acknowledged, f"entry {key}\n".encode())
                    tab.state = tab.get("/api/session", client="tab")
                code = 0
        finally:
            os._exit(code)

    path = Path(place)
    session = ReviewSession(DuckDBStore(path), load_config(path), who="ana")
    serving.serve(
        session, path, port=0, opened=lambda address: threading.Thread(target=answer, args=(address,)).start()
    )
    return 0


def live(task: dict) -> None:
    """Run one command in this process, and end with its exit code."""
    for stream, name in ((1, "out"), (2, "err")):
        os.dup2(os.open(f"{task['notes']}.{name}", os.O_WRONLY | os.O_CREAT | os.O_TRUNC), stream)
    trace = os.open(f"{task['notes']}.trace", os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    acknowledged = os.open(f"{task['notes']}.acknowledged", os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    telling(acknowledged)
    from trackdb.cli.main import app

    signal.alarm(LONGEST_S)
    disk = ctypes.CDLL(None)
    if task["record"]:
        disk.disk_record(os.open(task["record"], os.O_WRONLY | os.O_CREAT | os.O_TRUNC), acknowledged)
    disk.disk_arm(task["root"].encode(), task["action"], task["step"], task["error"], trace)
    try:
        if task["words"][0] == "review":
            code = review(task["words"][1], int(task["words"][2]), acknowledged)
        else:
            app(task["words"])
            code = 0
    except SystemExit as ended:
        code = int(ended.code or 0)
    except BaseException:
        import traceback

        traceback.print_exc()
        code = 99
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


def main() -> None:
    """Fork lives until there are no more."""
    warm()
    if sys.argv[1:] == ["networks"]:
        warm_networks()
    print("ready", flush=True)
    for line in sys.stdin:
        child = os.fork()
        if child == 0:
            live(json.loads(line))
        status = os.waitpid(child, 0)[1]
        print(-os.WTERMSIG(status) if os.WIFSIGNALED(status) else os.WEXITSTATUS(status), flush=True)


if __name__ == "__main__":
    main()
