"""Write what an environment is made of: a CycloneDX document, and the licences as a table.

    python parts.py requirements.lock FOLDER [--only-locked]

It fails where a part is not the one that is locked, and where its licence is not among the allowed
ones. Nothing but what the packages say of themselves is read; those that say nothing, or leave a
choice, stand below.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
from dataclasses import dataclass
from importlib.metadata import Distribution, distributions
from pathlib import Path
from typing import TYPE_CHECKING, Any

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

if TYPE_CHECKING:
    from collections.abc import Iterable

# Licences that let us ship the part beside our own code. No AGPL, no SSPL, nothing proprietary; of
# the GPL only the LGPL, whose parts are used as they are.
ALLOWED = frozenset(
    {
        "0BSD", "Apache-2.0", "BSD", "BSD-2-Clause", "BSD-3-Clause", "CC0-1.0", "CNRI-Python",
        "ISC", "LGPL", "LGPL-3.0-only", "MIT", "MIT-0", "MIT-CMU", "MPL-2.0", "PSF-2.0",
        "Python-2.0", "Zlib",
    }
)  # fmt: skip
# What a package does not say in its metadata, or which of its licences we take.
STATED = {
    "protobuf": "BSD-3-Clause",
    "python-on-whales": "MIT",
    "text-unidecode": "Artistic-1.0-Perl",
}
CHOSEN = frozenset({"Artistic-1.0-Perl"})
_CLASSIFIERS = {
    "Apache Software License": "Apache-2.0",
    "BSD License": "BSD",
    "GNU Library or Lesser General Public License (LGPL)": "LGPL",
    "GNU Lesser General Public License v3 (LGPLv3)": "LGPL-3.0-only",
    "ISC License (ISCL)": "ISC",
    "MIT License": "MIT",
    "Mozilla Public License 2.0 (MPL 2.0)": "MPL-2.0",
    "Python Software Foundation License": "PSF-2.0",
}
_NAMES = {
    "apache 2.0": "Apache-2.0", "apache license 2.0": "Apache-2.0", "apache-2.0": "Apache-2.0",
    "apache license, version 2.0": "Apache-2.0", "apache 2": "Apache-2.0", "bsd": "BSD",
    "bsd 3-clause": "BSD-3-Clause", "3-clause bsd license": "BSD-3-Clause", "mit": "MIT",
    "bsd-3-clause": "BSD-3-Clause", "bsd-2-clause": "BSD-2-Clause", "mit license": "MIT",
    "mpl-2.0": "MPL-2.0", "isc": "ISC", "the mit license": "MIT",
    "lgpl with exceptions": "LGPL",
}  # fmt: skip
_OPERATORS = {"AND", "OR", "WITH"}


@dataclass(frozen=True)
class Part:
    """An installed package.

    Attributes:
        licence: an SPDX expression; empty when the package does not tell.
    """

    name: str
    version: str
    licence: str

    @property
    def is_allowed(self) -> bool:
        """Say whether every licence that it names is."""
        named = set(re.findall(r"[A-Za-z0-9.-]+", self.licence)) - _OPERATORS
        return bool(named) and named <= ALLOWED | CHOSEN


def locked(lock: str) -> dict[str, str]:
    """Return the versions of a lock file that this machine and this Python install."""
    lines = (line for line in lock.splitlines() if re.match(r"[a-z0-9]", line))
    requirements = [Requirement(line.split("\\")[0].strip()) for line in lines]
    return {
        canonicalize_name(one.name): next(iter(one.specifier)).version
        for one in requirements
        if one.marker is None or one.marker.evaluate()
    }


def installed(found: Iterable[Distribution]) -> dict[str, Part]:
    """Return the packages by name."""
    parts = {}
    for one in found:
        name = canonicalize_name(one.metadata["Name"])
        parts[name] = Part(name, one.version, licence_of(one))
    return dict(sorted(parts.items()))


def licence_of(package: Distribution) -> str:
    """Return the licence of a package as an SPDX expression, empty when it does not tell."""
    about = package.metadata
    if stated := STATED.get(canonicalize_name(about["Name"])):
        return stated
    if expression := about.get("License-Expression"):
        return str(expression)
    text = (about.get("License") or "").strip()
    if known := _NAMES.get(text.lower()):
        return known
    classified = [
        _CLASSIFIERS.get(line.rpartition(" :: ")[2], line.rpartition(" :: ")[2])
        for line in about.get_all("Classifier") or ()
        if line.startswith("License :: ") and line != "License :: OSI Approved"
    ]
    if classified:
        return " AND ".join(sorted(set(classified)))
    return text if "\n" not in text else ""


def document(parts: Iterable[Part]) -> dict[str, Any]:
    """Return the CycloneDX document; the same parts give the same document."""
    return {
        "$schema": "http://cyclonedx.org/schema/bom-1.6.schema.json",
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "version": 1,
        "components": [
            {
                "type": "library",
                "bom-ref": f"pkg:pypi/{part.name}@{part.version}",
                "name": part.name,
                "version": part.version,
                "licenses": [{"expression": part.licence}]
                if _is_spdx(part.licence)
                else [{"license": {"name": part.licence}}],
                "purl": f"pkg:pypi/{part.name}@{part.version}",
            }
            for part in parts
        ],
    }


def _is_spdx(licence: str) -> bool:
    """Say whether it may stand as an expression: BSD and LGPL alone name no licence of the list."""
    return not {"BSD", "LGPL"} & set(re.findall(r"[A-Za-z0-9.-]+", licence))


def complaints(parts: dict[str, Part], lock: dict[str, str]) -> list[str]:
    """Say what is wrong with the parts, in a line each."""
    wrong = [f"{name}: locked, and not installed" for name in lock if name not in parts]
    for name, part in parts.items():
        if name not in lock:
            wrong.append(f"{name} {part.version}: installed, and not locked")
        elif lock[name] != part.version:
            wrong.append(f"{name} {part.version}: {lock[name]} is locked")
        if not part.is_allowed:
            wrong.append(f"{name} {part.version}: licence {part.licence or 'unknown'}, not allowed")
    return wrong


def main() -> int:
    """Write both files, or say what is wrong."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("lock", type=Path)
    arguments.add_argument("folder", type=Path)
    arguments.add_argument(
        "--only-locked", action="store_true", help="leave out what is installed besides"
    )
    given = arguments.parse_args()
    lock = locked(given.lock.read_text(encoding="utf-8"))
    parts = installed(distributions())
    if given.only_locked:
        parts = {name: part for name, part in parts.items() if name in lock}
    if wrong := complaints(parts, lock):
        sys.stderr.write("\n".join(wrong) + "\n")
        return 1
    given.folder.mkdir(parents=True, exist_ok=True)
    bom = json.dumps(document(parts.values()), indent=1)
    (given.folder / "sbom.cdx.json").write_text(bom + "\n", encoding="utf-8")
    lines = [f"{part.name}\t{part.version}\t{part.licence}" for part in parts.values()]
    (given.folder / "licences.tsv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
