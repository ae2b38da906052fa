"""The command line. Each command imports what it needs when it is called, so help is immediate."""

from crmhouse.cli import (
    database,
    deploy,
    monitoring,
    project,
    quarantine,
    simulate,
    state,
    upkeep,
    work,
)
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
    deploy.deploy,
    state.status,
    monitoring.metrics,
    quarantine.quarantine,
    simulate.simulate,
    database.warehouse,
    upkeep.maintain,
):
    main.add_command(command)
