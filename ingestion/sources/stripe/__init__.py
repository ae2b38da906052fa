"""Stripe: its objects as streams, from exports or over its API."""

from ingestion.sources.stripe.streams import STREAMS

__all__ = ["STREAMS"]
