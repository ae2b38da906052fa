"""A stand-in of Salesforce: tokens, REST, SOQL and Bulk API 2.0 query jobs, as documented."""

from simulators.salesforce.system import Salesforce

__all__ = ["Salesforce"]
