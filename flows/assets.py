"""Lineage: how source objects, raw tables and marts are called in Prefect's asset events."""

from __future__ import annotations

import logging
import re
from typing import TYPE_CHECKING, Literal, TypeAlias

from prefect.assets import Asset, AssetProperties
from prefect.assets.core import MAX_ASSET_DESCRIPTION_LENGTH
from prefect.context import AssetContext
from prefect.events import emit_event

from crmhouse.lineage import lineage_of_marts
from ingestion.sources import kind_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from crmhouse.lineage import MartLineage
    from crmhouse.publish import Published
    from crmhouse.settings import SourceConfig
    from crmhouse.warehouse import Warehouse
    from flows.work import Work

logger = logging.getLogger(__name__)

Outcome: TypeAlias = Literal["succeeded", "failed"]

# Prefect takes no event with more than 100 related resources; the run's own come on top.
_MOST_RELATED = 80
_COUNTS = ("inserted", "updated", "deleted", "contract")


def of_source(source: SourceConfig, stream: str) -> str:
    """Return the key of what a stream reads."""
    return f"{kind_of(source).system}://{source.name}/{stream}"


def of_table(warehouse: Warehouse, schema: str, table: str) -> str:
    """Return the key of a table: host and database, never user or password."""
    host = "embedded" if warehouse.embedded else warehouse.parameters.get("host", "localhost")
    database = warehouse.parameters.get("dbname", "postgres")
    place = re.sub(r"[^\w./:-]", "-", f"{host.strip('/')}/{database}", flags=re.ASCII)
    return f"postgres://{place}/{schema}/{table}"


def raw_asset(work: Work, source: SourceConfig, stream: str) -> Asset:
    """Return the raw table of a stream."""
    return Asset(
        key=of_table(work.warehouse, f"raw_{source.name}", stream),
        properties=AssetProperties(
            name=f"raw_{source.name}.{stream}",
            description=f"Records of {stream} as {source.name} ({source.kind}) delivered them.",
        ),
    )


def source_asset(source: SourceConfig, stream: str) -> Asset:
    """Return what a stream reads."""
    return Asset(
        key=of_source(source, stream),
        properties=AssetProperties(
            name=f"{source.name}.{stream}",
            description=f"{stream} in {source.name}, read as {source.kind}.",
        ),
    )


def tell_of_marts(work: Work, outcome: Outcome, published: Sequence[Published] = ()) -> None:
    """Tell what became of each mart, and which raw tables it is really made from.

    Prefect's `materialize` knows one set of origins for everything that a task makes, so these
    events are emitted here, in its form. The publication has been committed or refused: whatever
    goes wrong here is logged, and changes nothing of that.

    Args:
        work: the run.
        outcome: `failed` when the marts stayed as they were.
        published: what changed in each of them.
    """
    try:
        _tell(work, outcome, published)
    except Exception as error:  # noqa: BLE001  # a manifest of another dbt, an event of no use, …
        logger.warning("The lineage of the marts cannot be told: %s", type(error).__name__)


def _tell(work: Work, outcome: Outcome, published: Sequence[Published]) -> None:
    manifest = work.settings.home / "dbt" / "manifest.json"
    lineage = lineage_of_marts(manifest, work.settings, _landed(work))
    changes = {one.table: one for one in published}
    named: dict[tuple[str, str], Asset] = {
        (source, stream): raw_asset(work, work.settings.source(source), stream)
        for source, stream in sorted({table for mart in lineage for table in mart.raw_tables})
    }
    for asset in named.values():
        emit_event("prefect.asset.referenced", resource=AssetContext.asset_as_resource(asset))
    for mart in lineage:
        change = changes.get(mart.mart)
        emit_event(
            f"prefect.asset.materialization.{outcome}",
            resource=AssetContext.asset_as_resource(_mart_asset(work, mart)),
            related=[
                *(
                    AssetContext.asset_as_related(named[table])
                    for table in mart.raw_tables[:_MOST_RELATED]
                ),
                AssetContext.related_materialized_by("dbt"),
            ],
            payload={
                "run_id": str(work.run_id),
                **({name: getattr(change, name) for name in _COUNTS} if change else {}),
            },
        )


def _landed(work: Work) -> set[tuple[str, str]]:
    configured = [source.name for source in work.settings.sources]
    with work.warehouse.connect() as connection:
        rows = connection.execute(
            "select distinct source, stream from ops.stream_state where source = any(%s)",
            [configured],
        )
        return {(source, stream) for source, stream in rows}


def _mart_asset(work: Work, mart: MartLineage) -> Asset:
    return Asset(
        key=of_table(work.warehouse, "marts", mart.mart),
        properties=AssetProperties(
            name=f"marts.{mart.mart}",
            description=mart.description[:MAX_ASSET_DESCRIPTION_LENGTH],
            owners=[mart.owner] if mart.owner else None,
        ),
    )
