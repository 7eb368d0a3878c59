"""The files of the review page: whole, and without anything from elsewhere."""

import re
from pathlib import Path

import pytest

WEB = Path(__file__).parent.parent / "server" / "web"
MODULES = sorted(WEB.glob("*.js"))
NAMESPACE = "http://www.w3.org/2000/svg"


def imported(text) -> set[str]:
    return set(re.findall(r'(?:from |import\()"([^"]+)"', text))


@pytest.mark.parametrize("module", MODULES, ids=lambda m: m.name)
def test_a_module_tells_what_it_is_and_imports_names_that_are_exported(module):
    text = module.read_text()
    assert text.startswith("/**")
    for names, source in re.findall(r'import \{([^}]+)\} from "\./([^"]+)"', text):
        exported = set(re.findall(r"export (?:async )?(?:function|class|const) (\w+)", (WEB / source).read_text()))
        assert {name.strip() for name in names.split(",") if name.strip()} <= exported, source


def test_every_module_is_needed():
    needed = {"main.js"} | {name.removeprefix("./") for module in MODULES for name in imported(module.read_text())}
    assert needed == {module.name for module in MODULES}


def test_nothing_comes_from_elsewhere_and_nothing_is_written_into_the_page():
    for file in WEB.iterdir():
        text = file.read_text().replace(NAMESPACE, "")
        assert not re.search(r"https?://|//cdn|@import|url\((?!#)", text), file.name
        assert not re.search(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\(|new Function", text), (
            file.name
        )
    page = (WEB / "index.html").read_text()
    assert not re.search(r"<style|style=|\son\w+=|<script(?![^>]*src=)", page)
    assert {name.rpartition("/")[2] for name in re.findall(r'(?:src|href)="(/[^"]+)"', page)} == {
        "main.js",
        "review.css",
    }
