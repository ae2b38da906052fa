"""Metrics of the platform for Prometheus, computed from `ops` when they are asked for.

Prefect's server has no metrics of flows, and a process that ends after its run cannot be scraped.
What every run leaves in the warehouse is there in any case, so the metrics are read from it: they
survive restarts, and count what the command line did as well.
"""
