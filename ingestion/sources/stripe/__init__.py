"""Stripe: its objects as streams, from exports or over its API."""

from ingestion.sources.stripe.streams import MORE, STREAMS

__all__ = ["MORE", "STREAMS"]
