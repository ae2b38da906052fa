"""A step is tried again only where time alone can help."""

from __future__ import annotations

import pytest
from prefect.client.schemas.objects import TaskRun
from prefect.states import Failed

from crmhouse.errors import (
    AlreadyRunningError,
    ConfigurationError,
    CrmhouseError,
    GateFailedError,
    PermissionMissingError,
    PublishRefusedError,
    QuotaExhaustedError,
    SourceRefusedError,
    SourceUnavailableError,
    SyncFailedError,
    TransformFailedError,
    TransformInterruptedError,
    WarehouseError,
)
from flows.tasks import a_retry_can_help, gate

RUN = TaskRun.model_construct()


def sync_failed(*causes: CrmhouseError) -> SyncFailedError:
    return SyncFailedError("a stream failed", causes=causes)


@pytest.mark.parametrize(
    ("error", "helps"),
    [
        (SourceUnavailableError("no answer"), True),
        (WarehouseError("no answer"), True),
        (PermissionMissingError("no right to create"), False),
        (sync_failed(SourceUnavailableError("no answer")), True),
        (sync_failed(SourceRefusedError("no such file")), False),
        (sync_failed(QuotaExhaustedError("no requests left today")), False),
        (sync_failed(SourceRefusedError("no such file"), WarehouseError("no answer")), True),
        (SourceRefusedError("no such file"), False),
        (ConfigurationError("no such kind"), False),
        (TransformFailedError("a model failed"), False),
        (TransformInterruptedError("a deadlock"), True),
        (GateFailedError("red"), False),
        (PublishRefusedError("a view needs it"), False),
        (AlreadyRunningError("a run holds the warehouse"), False),
        (KeyError("a bug"), False),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else str(value),
)
def test_only_what_did_not_answer_is_asked_again(error: Exception, helps: bool) -> None:
    assert a_retry_can_help(gate, RUN, Failed(data=error)) is helps
