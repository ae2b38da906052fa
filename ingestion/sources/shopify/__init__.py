"""Shopify: the streams of its exports, and the connector to its GraphQL Admin API."""

from ingestion.sources.shopify.options import ShopifyOptions
from ingestion.sources.shopify.streams import STREAMS

__all__ = ["STREAMS", "ShopifyOptions"]
