"""Models by name: looked up on this machine, fetched when asked, and refused when they are not what they should be."""

import hashlib
import zipfile

import pytest

from trackdb.engine.models import registry
from trackdb.engine.models.registry import FILES, KnownModel, find, pull
from trackdb.engine.progress import Recorded
from trackdb.errors import FormatError, ModelError, StoreExistsError

from .command_line import answer, refusal


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv("TRACKDB_MODELS", str(tmp_path / "models"))
    return tmp_path / "models"


def offered(tmp_path, monkeypatch, *, files=FILES, sha256=None, url=None):
    """Offer a zip of a model under the name of a known one; return its digest."""
    packed = tmp_path / "tiny.zip"
    with zipfile.ZipFile(packed, "w") as archive:
        for name in files:
            archive.writestr(f"tiny/{name}", f"this is {name}")
        archive.writestr("../outside.txt", "never unpacked")
    digest = hashlib.sha256(packed.read_bytes()).hexdigest()
    known = KnownModel("tiny", "a test", url or packed.as_uri(), digest if sha256 is None else sha256)
    monkeypatch.setattr(registry, "KNOWN", {"tiny": known})
    return digest


def test_a_model_is_fetched_once_and_then_found(tmp_path, monkeypatch, folder):
    offered(tmp_path, monkeypatch)
    assert pull("tiny", Recorded()) == find("tiny") == folder / "tiny"
    assert sorted(file.name for file in (folder / "tiny").iterdir()) == sorted(FILES)
    assert (folder / "tiny" / "model.pt").read_text() == "this is model.pt"
    assert not list(tmp_path.rglob("outside.txt"))
    with pytest.raises(StoreExistsError, match="here already"):
        pull("tiny", Recorded())


def test_another_digest_is_refused_and_nothing_is_kept(tmp_path, monkeypatch, folder):
    digest = offered(tmp_path, monkeypatch, sha256="0" * 64)
    with pytest.raises(ModelError, match=rf"expected: sha256 0000.*got: {digest}"):
        pull("tiny", Recorded())
    assert not list(folder.iterdir())
    assert pull("tiny", Recorded(), sha256=digest).is_dir()


def test_a_model_without_a_known_digest_tells_what_it_has(tmp_path, monkeypatch):
    digest = offered(tmp_path, monkeypatch, sha256="")
    progress = Recorded()
    pull("tiny", progress)
    assert digest in progress.notes[0]


def test_without_a_network_it_is_said_what_to_do(tmp_path, monkeypatch):
    offered(tmp_path, monkeypatch, url=(tmp_path / "gone.zip").as_uri())
    with pytest.raises(ModelError, match=r"could not be fetched from .*without a network: fetch it elsewhere"):
        pull("tiny", Recorded())


def test_what_is_no_model_is_refused(tmp_path, monkeypatch, folder):
    offered(tmp_path, monkeypatch, files=FILES[:2])
    with pytest.raises(FormatError, match=r"lacks train_config\.yaml"):
        pull("tiny", Recorded())
    (tmp_path / "text.zip").write_text("no zip")
    offered(tmp_path, monkeypatch, url=(tmp_path / "text.zip").as_uri(), sha256="")
    with pytest.raises(FormatError, match="no zip"):
        pull("tiny", Recorded())
    assert not list(folder.iterdir())


def test_a_known_model_that_is_not_here_says_how_to_get_it():
    with pytest.raises(ModelError, match="trackdb models pull general_2d"):
        find("general_2d")
    with pytest.raises(ModelError, match="known: general_2d, ctc"):
        pull("general_3d", Recorded())


def test_a_folder_goes_before_a_name(tmp_path):
    assert find(str(tmp_path)) == tmp_path


def test_the_command_lists_and_pulls(tmp_path, monkeypatch, folder):
    offered(tmp_path, monkeypatch)
    assert not answer("models")["models"][0]["here"]
    assert answer("models", "pull", "tiny")["folder"] == str(folder / "tiny")
    listed = answer("models", "list")
    assert listed["models"][0]["here"]
    assert listed["place"] == str(folder)
    assert "pull which model?" in refusal("models", "pull", code=2)
    assert "cannot 'push'" in refusal("models", "push", code=2)
    assert "takes nothing else" in refusal("models", "list", "tiny", code=2)
