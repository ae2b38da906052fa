"""Makes a Prefect server hold what the project declares: the difference first, then all or nothing.

`plan` compares what `prefect.yaml`, the work pool's template, the automations and the settings
declare with what the server holds; `apply` makes it so.
"""

from flows.deployment.apply import apply, plan
from flows.deployment.difference import Change, FieldChange, Plan
from flows.deployment.server import Server, connect

__all__ = ["Change", "FieldChange", "Plan", "Server", "apply", "connect", "plan"]
