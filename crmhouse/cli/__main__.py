"""`python -m crmhouse.cli` is the command `crmhouse`."""

from crmhouse.cli import main

main(prog_name="crmhouse")
