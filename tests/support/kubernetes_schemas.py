"""The schemas of Kubernetes, each read once: kubernetes-validate reads them every time."""

from __future__ import annotations

import re
from functools import cache
from typing import Any

import jsonschema
import kubernetes_validate
import referencing
from kubernetes_validate import utils
from packaging.version import Version

OLDEST = "1.30"
VERSIONS = sorted(
    {
        utils.major_minor(version)
        for version in utils.all_versions()
        if Version(version) >= Version(OLDEST)
    },
    key=Version,
)


def faults(manifest: dict[str, Any], version: str) -> list[str]:
    """Return what the strict schema of that version says against a manifest."""
    validator = _validator(manifest["apiVersion"], manifest["kind"], version)
    return [
        f"{'/'.join(map(str, error.absolute_path))}: {error.message}"
        for error in validator.iter_errors(manifest)
    ]


@cache
def _registry(version: str) -> referencing.Registry[Any]:
    definitions = utils.schema_contents(f"{_folder(version)}/_definitions.json", version)
    return referencing.Resource.from_contents(definitions) @ referencing.Registry()


@cache
def _validator(api_version: str, kind: str, version: str) -> jsonschema.Draft202012Validator:
    group = re.sub(r"^([^./]*)(?:\.[^/]*)?/", r"\1-", api_version)
    try:
        file = f"{_folder(version)}/{kind.lower()}-{group}.json"
        schema = utils.schema_contents(file, version)
    except FileNotFoundError:
        raise kubernetes_validate.SchemaNotFoundError(kind, version, api_version) from None
    return jsonschema.Draft202012Validator(schema, registry=_registry(version))


@cache
def _folder(version: str) -> str:
    found = next(v for v in utils.all_versions() if utils.major_minor(v) == version)
    return f"kubernetes-json-schema/v{found}-local-strict"
