"""The office's WeChat account as the commands open it: in rehearsal the sandbox's, which is started where none answers.

Forced renewals of its token are counted where the workers count theirs.
"""

from outreach.channels import directory, loopback
from outreach.channels.wechat.calls import Account
from outreach.cli import processes
from outreach.cli.base import Office
from outreach.outbox import limits, senders


def open_account(office: Office) -> Account:
    """Open the account; close it when done. Raises Misconfigured."""

    def may_refresh() -> bool:
        with office.database.write() as session:
            ids = [key for key, sender in senders.ids(session, office.settings).items() if sender.provider == "wechat"]
            return bool(ids) and limits.allow_refresh(session, ids[0], now=office.now())

    settings = office.settings
    if settings.rehearsal and not loopback.answers(settings.sandbox_url, processes.HEALTH_OF_SANDBOX):
        processes.ensure_rehearsal(settings)
    return directory.open_account(office.settings, may_refresh=may_refresh)
