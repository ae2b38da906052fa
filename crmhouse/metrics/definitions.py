"""Which metrics there are."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, TypeAlias

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily

if TYPE_CHECKING:
    from prometheus_client.core import Metric as Family

Samples: TypeAlias = "dict[str, list[tuple[tuple[str, ...], float]]]"
"""The values of each metric, by the values of its labels."""

UP = "crmhouse_up"


@dataclass(frozen=True)
class Metric:
    """One metric.

    Attributes:
        kind: a counter never falls.
        labels: names of its labels.
    """

    name: str
    kind: Literal["counter", "gauge"]
    labels: tuple[str, ...]
    meaning: str

    def family(self, samples: list[tuple[tuple[str, ...], float]]) -> Family:
        """Return it with its values."""
        of_kind = CounterMetricFamily if self.kind == "counter" else GaugeMetricFamily
        family = of_kind(self.name, self.meaning, labels=self.labels)
        for labels, value in samples:
            family.add_metric(labels, value)
        return family


_STREAM = ("source", "stream")
ROWS = ("extracted", "inserted", "updated", "unchanged", "deleted", "quarantined")
_OF_ROWS = {
    "extracted": "Records that arrived from the source",
    "inserted": "Rows that were added to the raw table",
    "updated": "Rows of the raw table that a newer version replaced",
    "unchanged": "Records that raw already held in this version or a newer one",
    "deleted": "Rows marked as deleted: tombstones, and rows that the source has no more",
    "quarantined": "Records that were held back, counted each time they arrive",
}
METRICS = (
    Metric(UP, "gauge", (), "1 when the warehouse answered, 0 when it did not"),
    Metric("crmhouse_build_info", "gauge", ("version",), "Always 1; the version of crmhouse"),
    *(
        Metric(f"crmhouse_rows_{kind}_total", "counter", _STREAM, _OF_ROWS[kind])
        for kind in ROWS
    ),
    Metric(
        "crmhouse_sync_seconds_total", "counter", _STREAM,
        "Seconds spent on the slices of the stream; slices side by side add up",
    ),
    Metric(
        "crmhouse_stream_lag_seconds", "gauge", _STREAM,
        "Age of the newest source time that has landed; grows where nothing changes",
    ),
    Metric(
        "crmhouse_stream_last_success_timestamp_seconds", "gauge", _STREAM,
        "When the stream was last read to its end without an error, with news or without",
    ),
    Metric(
        "crmhouse_stream_failing_since_timestamp_seconds", "gauge", _STREAM,
        "First failure after the last sync without one; absent while all is well",
    ),
    Metric(
        "crmhouse_source_lag_seconds", "gauge", ("source",),
        "Age of the newest data of any of the source's streams",
    ),
    Metric(
        "crmhouse_source_late_after_seconds", "gauge", ("source",),
        "The lag that the source is allowed (late_after); absent where none is set",
    ),
    Metric(
        "crmhouse_quarantine_open_records", "gauge", (*_STREAM, "reason"),
        "Records that are held back and not resolved",
    ),
    Metric(
        "crmhouse_refresh_runs_total", "counter", ("status",),
        "Refreshes that ended: succeeded, partial or failed",
    ),
    Metric(
        "crmhouse_refresh_last_run_seconds", "gauge", (),
        "Wall time of the refresh that ended last",
    ),
    Metric(
        "crmhouse_refresh_last_end_timestamp_seconds", "gauge", ("status",),
        "When a refresh last ended with this status",
    ),
    Metric(
        "crmhouse_publication_timestamp_seconds", "gauge", (),
        "When marts were last published; a refresh with nothing new publishes nothing",
    ),
    Metric(
        "crmhouse_gate_results", "gauge", ("boundary", "severity", "status"),
        "Expectations of the gate's last run; red: severity error, status failed or error",
    ),
    Metric(
        "crmhouse_gate_checked_timestamp_seconds", "gauge", ("boundary",),
        "When the gate last ran",
    ),
    Metric("crmhouse_mart_rows", "gauge", ("mart",), "Rows of the published mart"),
    Metric(
        "crmhouse_mart_changed_timestamp_seconds", "gauge", ("mart",),
        "The last publication that changed the mart",
    ),
)  # fmt: skip
"""Everything that is exported, in the order in which it is."""
