"""What we ship, and under which licences: as the image's build writes it down."""

from __future__ import annotations

import importlib.util
import json
import sys
from dataclasses import replace
from importlib.metadata import distributions
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]


def _load() -> Any:
    path = ROOT / "deployments" / "image" / "parts.py"
    spec = importlib.util.spec_from_file_location("parts", path)
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    sys.modules["parts"] = module  # its dataclasses look for their own module
    spec.loader.exec_module(module)
    return module


parts = _load()
LOCK = parts.locked((ROOT / "requirements.lock").read_text(encoding="utf-8"))
SHIPPED = {n: part for n, part in parts.installed(distributions()).items() if n in LOCK}


def test_what_we_ship_is_what_we_test_and_its_licences_are_allowed() -> None:
    assert len(SHIPPED) > 100
    assert parts.complaints(SHIPPED, LOCK) == []


def test_the_document_names_every_part_that_is_locked_with_its_licence() -> None:
    document = json.loads(json.dumps(parts.document(SHIPPED.values())))
    assert (document["bomFormat"], document["specVersion"]) == ("CycloneDX", "1.6")
    assert {one["purl"] for one in document["components"]} == {
        f"pkg:pypi/{name}@{version}" for name, version in LOCK.items()
    }
    assert all(one["licenses"][0] for one in document["components"])
    assert document == parts.document(SHIPPED.values())


def test_the_licences_are_those_that_people_know() -> None:
    licences = {name: part.licence for name, part in SHIPPED.items()}
    known = {"prefect": "Apache-2.0", "psycopg": "LGPL-3.0-only", "pydantic": "MIT"}
    assert {name: licences[name] for name in known} == known


@pytest.mark.parametrize(
    "licence",
    ["AGPL-3.0-only", "GPL-3.0-or-later", "MIT AND AGPL-3.0-or-later", "SSPL-1.0", "BUSL-1.1",
     "Other/Proprietary License", "LicenseRef-Proprietary", ""],
)  # fmt: skip
def test_a_licence_that_is_not_allowed_stops_the_build(licence: str) -> None:
    wrong = {**SHIPPED, "click": replace(SHIPPED["click"], licence=licence)}
    (complaint,) = parts.complaints(wrong, LOCK)
    assert complaint.startswith("click ")
    assert "not allowed" in complaint


def test_a_part_that_is_missing_unknown_or_another_version_stops_the_build() -> None:
    other = replace(SHIPPED["click"], version="0.1")
    extra = replace(SHIPPED["click"], name="extra")
    without = {name: part for name, part in SHIPPED.items() if name != "jinja2"}
    assert parts.complaints({**without, "click": other, "extra": extra}, LOCK) == [
        "jinja2: locked, and not installed",
        f"click 0.1: {LOCK['click']} is locked",
        f"extra {SHIPPED['click'].version}: installed, and not locked",
    ]
