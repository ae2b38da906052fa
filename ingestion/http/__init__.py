"""HTTP to the APIs of sources: one policy for time limits, tries, speed and messages."""

from ingestion.http.api import Api, Patience
from ingestion.http.credentials import Bearer, Credentials, Token, TokenStore
from ingestion.http.limits import Limit, Rule
from ingestion.http.verdicts import Verdict, accept, by_status, exhaust, refuse, renew, retry

__all__ = [
    "Api",
    "Bearer",
    "Credentials",
    "Limit",
    "Patience",
    "Rule",
    "Token",
    "TokenStore",
    "Verdict",
    "accept",
    "by_status",
    "exhaust",
    "refuse",
    "renew",
    "retry",
]
