"""A stand-in of Shopify's GraphQL Admin API."""

from simulators.shopify.system import Shopify

__all__ = ["Shopify"]
