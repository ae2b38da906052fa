"""The Jobs that the Kubernetes worker makes of flow runs: its own classes, without a server."""

from __future__ import annotations

import asyncio
import copy
import json
import uuid
from typing import TYPE_CHECKING, Any

import yaml
from chart import ROOT
from prefect.client.orchestration import PrefectClient
from prefect.client.schemas.objects import Flow, FlowRun
from prefect_kubernetes.worker import KubernetesWorkerJobConfiguration

if TYPE_CHECKING:
    from collections.abc import Sequence

    from hardening import Manifest

TEMPLATE = ROOT / "deployments" / "work_pools" / "kubernetes.json"


def deployments() -> dict[str, dict[str, Any]]:
    """Return what prefect.yaml declares, by name."""
    content = yaml.safe_load((ROOT / "prefect.yaml").read_text(encoding="utf-8"))
    return {deployment["name"]: deployment for deployment in content["deployments"]}


def packaged_template() -> dict[str, Any]:
    loaded: dict[str, Any] = json.loads(TEMPLATE.read_text(encoding="utf-8"))
    return loaded


def template_of(manifests: Sequence[Manifest]) -> dict[str, Any]:
    """Return the work pool's template of a rendered release."""
    for manifest in manifests:
        if text := manifest.get("data", {}).get("base-job-template.json"):
            loaded: dict[str, Any] = json.loads(text)
            return loaded
    raise AssertionError("the release has no base job template")


def job_of(template: dict[str, Any], deployment: dict[str, Any]) -> Manifest:
    """Return the Job of a run of that deployment, as the worker sends it to Kubernetes."""
    variables = copy.deepcopy(deployment["work_pool"].get("job_variables", {}))
    configuration = asyncio.run(_configuration(template, variables))
    flow = Flow(name=deployment["name"], id=uuid.uuid4())
    run = FlowRun(id=uuid.uuid4(), name=f"{deployment['name']} of everything", flow_id=flow.id)
    configuration.prepare_for_flow_run(run, flow=flow, worker_name="worker")
    return as_stored(configuration.job_manifest)


async def _configuration(
    template: dict[str, Any], variables: dict[str, Any]
) -> KubernetesWorkerJobConfiguration:
    # It is asked for blocks and variables only, and there are none; without one, a server starts.
    async with PrefectClient(api="http://127.0.0.1:9/api") as client:
        return await KubernetesWorkerJobConfiguration.from_template_and_values(
            template, variables, client=client
        )


def as_stored(manifest: Manifest) -> Manifest:
    """Return a Job as the API server keeps it.

    The worker insists on two fields in a place where Kubernetes does not know them: it drops them,
    and makes a name.
    """
    job = copy.deepcopy(manifest)
    for field in ("parallelism", "completions"):
        assert job["spec"]["template"]["spec"].pop(field) == 1
    job["metadata"]["name"] = f"{job['metadata'].pop('generateName')}x7k2p"
    return job
