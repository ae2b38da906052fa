"""Salesforce: its objects as streams, read over its APIs."""

from ingestion.sources.salesforce.streams import STREAMS

__all__ = ["STREAMS"]
