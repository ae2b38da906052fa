"""The shell: settings, the warehouse, errors and the command line."""
