"""HubSpot: its objects as streams, read from exports or over its API."""

from ingestion.sources.hubspot.streams import MORE, STREAMS

__all__ = ["MORE", "STREAMS"]
