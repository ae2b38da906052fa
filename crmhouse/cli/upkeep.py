"""`crmhouse maintain`: the upkeep of the warehouse, without the orchestrator."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from crmhouse.cli.output import Table, emit_json, emit_tables, format_option

if TYPE_CHECKING:
    from crmhouse.cli.app import App
    from crmhouse.maintenance import Upkeep


@click.command()
@format_option
@click.pass_obj
def maintain(app: App, form: str) -> None:
    """Sum up and remove old records of past work, drop what dead runs left, vacuum.

    May run beside syncs and runs: it gives way to them. How long what is kept, the settings
    `retention` say. The flow `maintain` does the same, and looks after Prefect too.
    """
    from crmhouse.maintenance import maintain
    from crmhouse.warehouse import open_warehouse

    with open_warehouse(app.settings) as warehouse:
        done = maintain(warehouse, app.settings)
    if form == "json":
        emit_json(done)
    else:
        emit_tables(*_tables(done))
        if not done.vacuumed:
            click.echo("No table had enough changes to vacuum it.", err=True)


def _tables(done: Upkeep) -> list[Table]:
    kept = [
        (f"ops.{one.table}", one.days, one.rows, "summed up" if one.summed_up else "removed")
        for one in done.forgotten
    ]
    tables = [Table("Old rows", ("table", "kept for days", "rows", "what became of them"), kept)]
    if done.dropped:
        rows = [(name,) for name in done.dropped]
        tables.append(Table("Left behind by a dbt that was stopped, dropped", ("table",), rows))
    if done.vacuumed:
        cared = [(one.table, one.dead_rows, one.outcome, one.seconds) for one in done.vacuumed]
        tables.append(Table("Vacuum", ("table", "dead rows", "outcome", "seconds"), cared))
    return tables
