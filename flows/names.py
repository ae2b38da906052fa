"""What on a Prefect server is ours, told by its name."""

POOL = "crmhouse"
"""The work pool."""

TAG = "crmhouse"
"""The tag of our deployments, and of every flow run."""
