"""The cells of an Excel sheet that hold an error such as #N/A: Calamine reads them as empty."""

from __future__ import annotations

import re
import zipfile
import zlib
from posixpath import normpath
from typing import TYPE_CHECKING
from xml.etree import ElementTree as ET

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import IO, BinaryIO

BROKEN = (zipfile.BadZipFile, ET.ParseError, KeyError, OSError, ValueError, zlib.error, EOFError)
"""What looking for them may raise where the file is damaged."""

_BLOCK = 1 << 18
_ERROR_TYPE = re.compile(rb"""\bt\s*=\s*["']e["']""")
_LONGEST_TYPE = 64
_ADDRESS = re.compile(r"([A-Z]+)(\d+)")


def error_cells(file: BinaryIO, sheet: str) -> dict[int, set[int]]:
    """Return the columns with an error, counted from 0, by the row's number, counted from 1."""
    with zipfile.ZipFile(file) as archive:
        part = _part(archive, sheet)
        with archive.open(part) as xml:
            has_errors = _has_errors(xml)
        return _errors(archive, part) if has_errors else {}


def _part(archive: zipfile.ZipFile, sheet: str) -> str:
    """Return the name of the member that holds a sheet."""
    entries = _entries(archive, "xl/workbook.xml", "end")
    ids = {entry.get("name"): _relation(entry) for _, entry in entries if _is(entry, "sheet")}
    relations = _entries(archive, "xl/_rels/workbook.xml.rels", "end")
    targets = {entry.get("Id"): entry.get("Target", "") for _, entry in relations}
    target = targets[ids[sheet]]
    return target.lstrip("/") if target.startswith("/") else normpath(f"xl/{target}")


def _entries(archive: zipfile.ZipFile, part: str, *events: str) -> Iterator[tuple[str, ET.Element]]:
    with archive.open(part) as xml:
        yield from ET.iterparse(xml, events)  # noqa: S314  # expat stops entities that blow up


def _relation(entry: ET.Element) -> str | None:
    """Return the id of the relation; strict workbooks write it in a namespace of their own."""
    return next((value for name, value in entry.items() if name.endswith("}id")), None)


def _has_errors(xml: IO[bytes]) -> bool:
    """Look for an error in the raw text, which takes a tenth of the time of parsing it."""
    tail = b""
    while block := xml.read(_BLOCK):
        if _ERROR_TYPE.search(tail + block):
            return True
        tail = block[-_LONGEST_TYPE:]
    return False


def _errors(archive: zipfile.ZipFile, part: str) -> dict[int, set[int]]:
    found: dict[int, set[int]] = {}
    row = column = 0
    rows = ET.Element("none")
    for event, entry in _entries(archive, part, "start", "end"):
        if _is(entry, "sheetData"):
            rows = entry
        elif not _is(entry, "row", "c"):
            continue
        elif event == "end":
            if _is(entry, "row"):
                rows.clear()  # or all rows would stay in memory
        elif _is(entry, "row"):
            row, column = int(entry.get("r", row + 1)), 0
        else:
            # A cell need not have an address: then it follows the one before it.
            address = _ADDRESS.fullmatch(entry.get("r", ""))
            column = _number(address[1]) if address else column + 1
            if entry.get("t") == "e":
                found.setdefault(row, set()).add(column - 1)
    return found


def _is(entry: ET.Element, *names: str) -> bool:
    return entry.tag.rpartition("}")[2] in names


def _number(letters: str) -> int:
    number = 0
    for letter in letters:
        number = number * 26 + ord(letter) - ord("A") + 1
    return number
