"""Our Helm chart, rendered by Helm itself: no cluster, no network."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import helm_python
import yaml

if TYPE_CHECKING:
    from hardening import Manifest

ROOT = Path(__file__).parents[2]
CHART = ROOT / "deployments" / "kubernetes" / "crmhouse"
NAMESPACE = "crm"  # not the release's name, so that one cannot be taken for the other

EVERYTHING: dict[str, Any] = {
    "image": {
        "repository": "registry.example/team/crmhouse",
        "digest": f"sha256:{'a' * 64}",
        "pullPolicy": "Always",
        "pullSecrets": [{"name": "registry"}],
    },
    "config": {
        "sources": [{"name": "crm", "kind": "hubspot", "options": {"token": "${TOKEN}"}}],
        "orchestration": {"notifications": {"webhook": "${ALERTS_WEBHOOK}"}},
    },
    "schedules": {"refresh": {"cron": "0 6 * * *", "timezone": "Europe/Berlin"}},
    "secrets": {
        "databaseAdmin": {"name": "admin", "key": "url"},
        "sources": ["crm", "billing"],
        "deploy": ["alerts"],
    },
    "server": {"priorityClassName": "platform", "nodeSelector": {"pool": "base"}},
    "worker": {
        "replicas": 3,
        "priorityClassName": "platform",
        "tolerations": [{"key": "base", "operator": "Exists"}],
        "affinity": {"nodeAffinity": {}},
    },
    "flows": {
        "priorityClassName": "loads",
        "nodeSelector": {"pool": "loads"},
        "tolerations": [{"key": "loads", "operator": "Exists", "effect": "NoSchedule"}],
        "serviceAccountAnnotations": {"example.com/role": "reader"},
        "env": {"CRMHOUSE_LOG_LEVEL": "DEBUG"},
        "extraVolumes": [{"name": "data", "persistentVolumeClaim": {"claimName": "exports"}}],
        "extraVolumeMounts": [{"name": "data", "mountPath": "/data", "readOnly": True}],
    },
    "metrics": {
        "enabled": True,
        "serviceMonitor": {"enabled": True, "interval": "30s", "labels": {"release": "prometheus"}},
    },
    "simulators": {"enabled": True},
    "networkPolicy": {
        "serverFrom": [{"namespaceSelector": {"matchLabels": {"name": "proxy"}}}],
        "metricsFrom": [{"namespaceSelector": {"matchLabels": {"name": "monitoring"}}}],
    },
}


def evaluation() -> dict[str, Any]:
    """Return the values of an evaluation."""
    text = (CHART / "values-evaluation.yaml").read_text(encoding="utf-8")
    loaded: dict[str, Any] = yaml.safe_load(text)
    return loaded


VALUES: dict[str, dict[str, Any]] = {
    "default": {},
    "cloudnativepg": {"postgresql": {"mode": "cloudnativepg"}},
    "evaluation": evaluation(),
    "everything": EVERYTHING,
}


@cache
def _chart() -> helm_python.Chart:
    return helm_python.Chart.load(CHART)


def rendered(values: dict[str, Any] | None = None, name: str = "crmhouse") -> list[Manifest]:
    """Return the manifests that an installation with these values applies."""
    files = _chart().render(values or {}, name=name, namespace=NAMESPACE)
    return [
        manifest
        for file, text in sorted(files.items())
        if not file.endswith(".txt")
        for manifest in yaml.safe_load_all(text)
        if manifest
    ]
