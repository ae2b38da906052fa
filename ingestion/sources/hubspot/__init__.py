"""HubSpot: its objects as streams, read from exports or over its API."""

from ingestion.sources.hubspot.streams import STREAMS

__all__ = ["STREAMS"]
