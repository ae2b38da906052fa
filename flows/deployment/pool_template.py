"""The base job template of the work pool: read and checked with the worker's own classes."""

from __future__ import annotations

import asyncio
import json
import re
from typing import TYPE_CHECKING, Any

from prefect.client.orchestration import PrefectClient
from prefect.utilities.schema_tools import validate
from prefect.utilities.schema_tools.validation import ValidationError as SchemaError
from prefect.utilities.schema_tools.validation import is_valid_schema
from pydantic import ValidationError

from crmhouse.errors import ConfigurationError
from flows.deployment.yaml_files import faults_of

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from prefect.workers.base import BaseJobConfiguration

_PARTS = {"job_configuration", "variables"}
_VARIABLE = re.compile(r"\{\{\s*([a-zA-Z_]\w*)\s*\}\}")
_OF_A_SCHEMA = {
    "$defs", "additionalProperties", "allOf", "anyOf", "const", "default", "definitions",
    "description", "enum", "examples", "exclusiveMaximum", "exclusiveMinimum", "format", "items",
    "maxItems", "maxLength", "maximum", "minItems", "minLength", "minimum", "oneOf", "pattern",
    "properties", "required", "title", "type", "uniqueItems", "writeOnly", "$ref",
    "block_type_slug",
}  # fmt: skip


def configuration_class(pool_type: str) -> type[BaseJobConfiguration]:
    """Return what the worker of that type makes of the template."""
    if pool_type == "docker":
        from prefect_docker.worker import DockerWorkerJobConfiguration  # noqa: PLC0415  # seconds

        docker: type[BaseJobConfiguration] = DockerWorkerJobConfiguration
        return docker
    if pool_type == "kubernetes":
        from prefect_kubernetes.worker import (  # noqa: PLC0415  # seconds
            KubernetesWorkerJobConfiguration,
        )

        kubernetes: type[BaseJobConfiguration] = KubernetesWorkerJobConfiguration
        return kubernetes
    from prefect.workers.process import ProcessJobConfiguration  # noqa: PLC0415

    return ProcessJobConfiguration


def read_template(file: Path, pool_type: str) -> dict[str, Any]:
    """Read a template and build a job of its defaults.

    Raises:
        ConfigurationError: says every fault at once.
    """
    try:
        template = json.loads(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigurationError(f"{file} cannot be read: {error.strerror}.") from None
    except ValueError as error:
        raise ConfigurationError(f"{file}: this is not valid JSON: {error}.") from None
    if faults := [*_faults(template, pool_type)]:
        raise ConfigurationError(
            "\n".join([f"{file} is not a base job template of a {pool_type} pool:", *faults])
        )
    found: dict[str, Any] = template
    return found


def _faults(template: Any, pool_type: str) -> Iterator[str]:  # noqa: ANN401  # any JSON
    if not isinstance(template, dict) or set(template) != _PARTS:
        yield f"  it must have {' and '.join(sorted(_PARTS))}, and nothing else"
        return
    job, variables = template["job_configuration"], template["variables"]
    properties = variables.get("properties", {})
    known = configuration_class(pool_type).model_fields
    for key in sorted(set(job) - set(known)):
        yield f"  job_configuration.{key}: the {pool_type} worker has no such key"
    used = set(_VARIABLE.findall(json.dumps(job)))
    for name in sorted(used - set(properties)):
        yield f"  job_configuration: there is no variable {name}"
    for name in sorted(set(properties) - used):
        yield f"  variables.properties.{name}: nothing uses it"
    yield from _misspelt(variables, "variables")
    try:
        is_valid_schema(variables, preprocess=False)
    except ValueError as error:
        yield f"  variables: {error}"
        return
    yield from _job_faults(template, pool_type)


def _misspelt(schema: dict[str, Any], at: str) -> Iterator[str]:
    """Find the keys that JSON Schema would ignore."""
    for key in sorted(set(schema) - _OF_A_SCHEMA):
        yield f"  {at}.{key}: JSON Schema has no such key"
    for name, inner in schema.get("properties", {}).items():
        if isinstance(inner, dict):
            yield from _misspelt(inner, f"{at}.properties.{name}")


def _job_faults(template: dict[str, Any], pool_type: str) -> Iterator[str]:
    """Build the job that a worker would start, and say what is wrong with it."""
    configuration = configuration_class(pool_type)
    # Blocks and variables are opened when a run begins. Here their places do, and nobody is asked:
    # without a client of its own Prefect would start a server for the answer.
    closed = json.loads(json.dumps(template).replace("{{ prefect.", "{{ ctx."))
    nobody = PrefectClient("http://127.0.0.1:9/api")
    try:
        asyncio.run(configuration.from_template_and_values(closed, {}, client=nobody))
    except ValidationError as error:
        for place, what in faults_of(error):
            yield f"  job_configuration.{place}: {what}"
    except ValueError as error:
        yield f"  job_configuration: {error}"


def variable_faults(job_variables: dict[str, Any], template: dict[str, Any]) -> Iterator[str]:
    """Say which job variables a template does not have, or would not take."""
    schema = template.get("variables") or {}
    offered = set(schema.get("properties", {}))
    for name in sorted({name.partition(".")[0] for name in job_variables} - offered):
        yield f"job_variables.{name}: the work pool has no such variable"
    try:
        plain = {name: value for name, value in job_variables.items() if "." not in name}
        validate(plain, schema, raise_on_error=True, preprocess=True, ignore_required=True)
    except SchemaError as error:
        yield f"job_variables: {error}"
