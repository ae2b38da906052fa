"""The blocks through which the Prefect server itself sends alerts: a webhook and e-mail.

Both are blocks that every Prefect server knows, so an alert needs neither our code on the server
nor a worker that is alive. Prefect has no block for e-mail without a cloud service; its "Slack
Webhook" hands any address that is not Slack's to apprise, which also speaks SMTP.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlencode

from flows.deployment.resources import BLOCK_PREFIX, Resource

if TYPE_CHECKING:
    from pydantic import SecretStr

    from crmhouse.orchestration import MailTarget, Notifications

_MAIL_MODES = {"starttls": "starttls", "tls": "ssl", "none": "insecure"}


def blocks(targets: Notifications) -> list[Resource]:
    """Make the block of each configured target."""
    found = []
    if targets.webhook is not None:
        found.append(_block("custom-webhook", "webhook", _webhook(targets.webhook)))
    if targets.mail is not None:
        found.append(_block("slack-webhook", "mail", {"url": mail_url(targets.mail)}))
    return found


def _block(block_type: str, name: str, data: dict[str, Any]) -> Resource:
    return Resource("block", f"{block_type}/{BLOCK_PREFIX}{name}", {"data": data}, hidden=True)


def _webhook(url: SecretStr) -> dict[str, Any]:
    """Keep the URL among the secrets, the only part that Prefect hides."""
    return {
        "name": "crmhouse",
        "url": "{{url}}",
        "method": "POST",
        "json_data": {"subject": "{{subject}}", "text": "{{body}}"},
        "secrets": {"url": url.get_secret_value()},
    }


def mail_url(mail: MailTarget) -> str:
    """Return the address of the mail server and the recipients as apprise writes them."""
    login = ""
    if mail.user:
        password = mail.password.get_secret_value() if mail.password else ""
        login = f"{quote(mail.user, safe='')}:{quote(password, safe='')}@"
    scheme = "mailto" if mail.security == "none" else "mailtos"
    query = urlencode(
        {
            "from": mail.sender,
            "to": ",".join(mail.to),
            "mode": _MAIL_MODES[mail.security],
            "format": "text",
        }
    )
    return f"{scheme}://{login}{mail.host}:{mail.port}/?{query}"
