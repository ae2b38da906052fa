"""HTTP to the APIs of sources: one policy for time limits, tries, speed and messages."""

from ingestion.http.api import IMPATIENT, Api, Patience
from ingestion.http.credentials import Bearer, Credentials, Token
from ingestion.http.limits import Rule
from ingestion.http.verdicts import Verdict, accept, by_status, exhaust, refuse, renew, retry

__all__ = [
    "IMPATIENT",
    "Api",
    "Bearer",
    "Credentials",
    "Patience",
    "Rule",
    "Token",
    "Verdict",
    "accept",
    "by_status",
    "exhaust",
    "refuse",
    "renew",
    "retry",
]
