"""Shopify: the streams of its exports, and the connector to its GraphQL Admin API."""

from ingestion.sources.shopify.options import ShopifyOptions
from ingestion.sources.shopify.streams import MORE, STREAMS

__all__ = ["MORE", "STREAMS", "ShopifyOptions"]
