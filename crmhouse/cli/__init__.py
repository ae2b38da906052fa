"""The command line. Each command imports what it needs when it is called, so help is immediate."""

from crmhouse.cli import database, monitoring, project, quarantine, simulate, state, work
from crmhouse.cli.app import CommandLine, root

__all__ = ["main"]

main: CommandLine = root
for command in (
    work.demo,
    project.init,
    project.check,
    project.sources,
    work.sync,
    work.run,
    state.status,
    monitoring.metrics,
    quarantine.quarantine,
    simulate.simulate,
    database.warehouse,
):
    main.add_command(command)
