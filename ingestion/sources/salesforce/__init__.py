"""Salesforce: its objects as streams, read over its APIs."""

from ingestion.sources.salesforce.streams import MORE, STREAMS

__all__ = ["MORE", "STREAMS"]
