"""`trackdb review`: what it prints, how it ends, and what it says where it cannot begin."""

import socket
import sys

import pytest

import trackdb
from trackdb.cli import review as face

from .command_line import refusal, run
from .movies import copied
from .reviews import Tab, review_server

pytestmark = pytest.mark.usefixtures("own_home_and_log")


@pytest.fixture(scope="module")
def reviewable(tmp_path_factory, solved_once):
    """A store of the drawn movie with a posterior; it is copied, never written."""
    place = copied(solved_once.path, tmp_path_factory.mktemp("reviewable") / "movie.trackdb")
    run("posterior", place)
    return place


def raw(origin, request):
    """Send bytes to a server as they are, and return what it answers first."""
    host, port = origin.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=30) as stream:
        stream.sendall(request.encode())
        return stream.recv(65536).decode(errors="replace")


def test_a_server_prints_one_address_takes_answers_and_ends_with_a_line(reviewable, tmp_path):
    store = copied(reviewable, tmp_path / "movie.trackdb")
    with review_server(store, "--as", "ana", "--audit", "0") as server, Tab(server.url) as tab:
        here = server.origin.removeprefix("http://")
        hidden = "GET /static/%2e%2e/%2e%2e/pyproject.toml HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n{}\r\n"
        known = "".join(f"Cookie: {name}={value}\r\n" for name, value in tab.http.cookies.items())
        assert " 404 " in raw(server.origin, hidden.format(here, known)).split("\r\n")[0]
        assert " 403 " in raw(server.origin, hidden.format(here, "")).split("\r\n")[0]
        twice = raw(server.origin, f"GET / HTTP/1.1\r\nHost: {here}\r\nHost: evil.example\r\n{known}\r\n")
        assert twice.split("\r\n")[0].split()[1] in ("400", "403")
        tab.state = tab.get("/api/question", client="tab", cell=2)
        assert tab.answer([3]).status_code == 200
        with tab.http.stream("GET", "/api/events") as stream:
            assert next(stream.iter_lines()) == "event: hello"
        assert run("sql", store, "select who, kind, cell from annotations").stdout.split("\n")[2].split() == [
            "ana",
            "choose",
            "2",
        ]
    assert server.process.returncode == 0
    printed = server.output.read_text().rstrip().split("\n")
    assert printed[0] == server.url
    assert printed[-1].startswith("1 answer by ana; ")
    assert "Traceback" not in server.output.read_text()


def test_without_a_posterior_the_command_that_makes_one_is_told(tmp_path, solved_once):
    store = copied(solved_once.path, tmp_path / "movie.trackdb")
    told = refusal("review", store, "--no-browser", "--as", "ana", code=3)
    assert "holds no posterior" in told
    assert "trackdb posterior" in told


def test_on_a_terminal_the_posterior_is_offered_and_made(tmp_path, solved_once, monkeypatch):
    store = copied(solved_once.path, tmp_path / "movie.trackdb")
    asked, served = [], []
    monkeypatch.setattr(face, "_is_terminal", lambda: True)
    monkeypatch.setattr(face.typer, "confirm", lambda text, **_: asked.append(text) or True)
    monkeypatch.setattr("trackdb.server.serving.serve", lambda session, *_, **__: served.append(session.revision))
    run("review", store, "--no-browser", "--as", "ana")
    assert ["compute it now?" in text for text in asked] == [True]
    assert served[0].startswith("ilp-1/posterior-1/")
    monkeypatch.setattr(face.typer, "confirm", lambda text, **_: False)
    other = copied(solved_once.path, tmp_path / "other.trackdb")
    assert "trackdb posterior" in refusal("review", other, "--no-browser", "--as", "ana", code=3)


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.7"])
def test_others_than_this_machine_are_sent_to_ssh(reviewable, host):
    assert "ssh -L 8765:127.0.0.1:8765" in refusal("review", reviewable, "--host", host, code=2)


def test_a_port_that_is_taken_is_told_with_the_next_step(reviewable):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        assert "another --port" in refusal("review", reviewable, "--no-browser", "--port", port, code=2)


@pytest.mark.parametrize("name", ["../../x", "", "a b", "x" * 41])
def test_a_name_that_is_none_is_refused(reviewable, name):
    assert "cannot be the name" in refusal("review", reviewable, "--as", name, code=2)


def test_without_the_extra_the_way_to_install_it_is_told(reviewable, monkeypatch):
    for name in [name for name in sys.modules if name.startswith("trackdb.server")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.delattr(trackdb, "server", raising=False)
    monkeypatch.setitem(sys.modules, "uvicorn", None)  # as if it were not there
    told = refusal("review", reviewable, "--no-browser", code=2)
    assert "pip install 'trackdb[review]'" in told


def test_a_dataset_that_is_not_there_is_told(reviewable):
    assert "nothing" in refusal("review", reviewable, "--dataset", "nothing", "--no-browser", code=3)
