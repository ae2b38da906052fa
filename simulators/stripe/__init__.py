"""A stand-in of the Stripe API, version 1, that reads."""

from simulators.stripe.system import Stripe

__all__ = ["Stripe"]
