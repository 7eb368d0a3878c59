"""XML read as a stream: no tree, no entities, and each mistake with its line."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING
from xml.parsers import expat

from ....errors import FormatError, TrackdbError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

CHUNK = 1 << 16
LONGEST_ROOT = 1 << 20  # bytes of comments that may stand before the root element
LONGEST_TAG = 4 << 20  # bytes; the parser begins a tag anew with every chunk that does not end it
LARGEST_INTEGER = 2**62


class XmlStream:
    """An XML file that is read once, from its first element to its last.

    Entities of its own are refused, and so is any document type: they can blow a small file up to any size, or read
    other files.

    Parameters
    ----------
    path : Path
        The file.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._parser = expat.ParserCreate()
        self._parser.buffer_text = True
        self._parser.StartDoctypeDeclHandler = self._refuse_doctype
        self._parser.EntityDeclHandler = self._refuse_doctype

    @property
    def line(self) -> int:
        """Line of what is being read."""
        return self._parser.CurrentLineNumber

    @property
    def where(self) -> str:
        """File and line of what is being read, as error messages name them."""
        return f"{self.path} line {self.line}"

    def read(
        self,
        start: Callable[[str, dict[str, str]], None],
        end: Callable[[str], None] | None = None,
    ) -> None:
        """Read the file, and tell each element as it comes.

        Parameters
        ----------
        start : callable
            Is told name and attributes of an element.
        end : callable or None
            Is told the name of an element that is over.

        Raises
        ------
        FormatError
            If the file cannot be read, is not well formed, or brings a document type.
        """
        self._parser.StartElementHandler = start
        self._parser.EndElementHandler = end
        try:
            with self.path.open("rb") as file:
                while chunk := file.read(CHUNK):
                    self._parser.Parse(chunk, False)
                    if file.tell() - self._parser.CurrentByteIndex > LONGEST_TAG:
                        raise FormatError(f"{self.where} holds a tag that does not end", expected="an XML file")
                self._parser.Parse(b"", True)
        except TrackdbError:
            raise
        except expat.ExpatError as error:
            raise FormatError(
                f"{self.path} line {error.lineno} is not well-formed XML", got=expat.ErrorString(error.code)
            ) from error
        except (OSError, ValueError, LookupError) as error:  # the last two: an encoding that is not known
            raise FormatError(f"{self.where} cannot be read as XML", got=str(error)) from error

    def listen(self, text: Callable[[str], None] | None) -> None:
        """Hear of the text from here on, in pieces, or of none."""
        self._parser.CharacterDataHandler = text

    def integer(self, attributes: Mapping[str, str], name: str, *, lowest: int = 0) -> int:
        """Return an attribute that is a whole number.

        Raises
        ------
        FormatError
            If it is missing, no whole number, or too low or large.
        """
        text = attributes.get(name)
        value = None
        with suppress(ValueError):
            value = None if text is None else int(text)
        if value is None or not lowest <= value < LARGEST_INTEGER:
            raise self.wrong(name, f"a whole number of at least {lowest}", text)
        return value

    def number(self, attributes: Mapping[str, str], name: str) -> float:
        """Return an attribute that is a number.

        Raises
        ------
        FormatError
            If it is missing or none.
        """
        text = attributes.get(name)
        try:
            return float("" if text is None else text)
        except ValueError:
            raise self.wrong(name, "a number", text) from None

    def wrong(self, name: str, expected: str, got: str | None) -> FormatError:
        """Return the error of an attribute that is not what it should be."""
        shown = "nothing" if got is None else repr(got if len(got) < 40 else got[:37] + "...")
        return FormatError(f"{self.where}: {name} is wrong", expected=expected, got=shown)

    def _refuse_doctype(self, *_: object) -> None:
        raise FormatError(
            f"{self.where} declares a document type or an entity",
            expected="XML without either: what they expand to cannot be trusted",
        )


def root_of(path: Path) -> str | None:
    """Return the name of the root element of a file, None if it has none that can be read."""
    found: list[str] = []
    stream = expat.ParserCreate()
    stream.StartElementHandler = lambda name, _: found.append(name)
    with suppress(OSError, expat.ExpatError, ValueError, LookupError), path.open("rb") as file:
        while not found and file.tell() < LONGEST_ROOT and (chunk := file.read(CHUNK)):
            stream.Parse(chunk, False)
    return found[0] if found else None


def is_xml(path: Path) -> bool:
    """Tell whether a path is a file that is named like XML."""
    return path.is_file() and path.suffix.lower() == ".xml"
