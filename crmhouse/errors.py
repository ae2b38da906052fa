"""Every exception of the product, grouped by what the caller does next.

A message says what object it is about, which numbers, what was decided and what to do. It never
holds a secret or a personal value.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence


class CrmhouseError(Exception):
    """Base of all errors raised on purpose."""


class ConfigurationError(CrmhouseError):
    """Fix the configuration: nothing was started. Exit code 2."""


class WarehouseError(CrmhouseError):
    """The warehouse cannot be reached or prepared: look at the server, then run again."""


class PermissionMissingError(WarehouseError):
    """The warehouse's role may not do what is needed: grant what the message says."""


class SourceError(CrmhouseError):
    """The source did not give what it was asked for; the subclass says whether it ever will."""


class SourceUnavailableError(SourceError):
    """The source did not answer as it should; the same call may succeed later: retry."""


class SourceRefusedError(SourceError):
    """The source refused for good (missing file, wrong key, missing permission): do not retry."""


class QuotaExhaustedError(SourceError):
    """The source's limit for today is used up: what has landed stays. Exit code 3, partial.

    Attributes:
        seconds: when it may be asked again, from now; None where it does not tell.
    """

    def __init__(self, message: str, seconds: float | None = None) -> None:
        super().__init__(message)
        self.seconds = seconds


class RunFailedError(CrmhouseError):
    """The run, or one of its steps, failed: nothing half-written remains; fix it and run again."""


class TooManyBadRecordsError(RunFailedError):
    """More records went to quarantine than the configured share allows; nothing was landed."""


class SyncFailedError(RunFailedError):
    """Some streams of a source failed; the others have landed.

    Attributes:
        runs: the slices that landed all the same (`ingestion.runs.SliceRun`).
        causes: the error of each stream that failed.
    """

    def __init__(
        self, message: str, runs: Sequence[object] = (), causes: Sequence[CrmhouseError] = ()
    ) -> None:
        super().__init__(message)
        self.runs = tuple(runs)
        self.causes = tuple(causes)


class TransformFailedError(RunFailedError):
    """Dbt reported a failed model or test; the published marts are unchanged."""


class TransformInterruptedError(TransformFailedError):
    """The warehouse ended dbt's statements (a deadlock, a restart): the same call may succeed."""


class GateFailedError(RunFailedError):
    """A quality gate is red; the published marts are unchanged."""


class PublishRefusedError(RunFailedError):
    """Publishing would break what others rely on; the published marts are unchanged."""


class AlreadyRunningError(CrmhouseError):
    """Another process does this work at the moment: wait for it."""


class OrchestratorError(CrmhouseError):
    """The Prefect server refused something, or did not answer; what was there before stays."""
