"""Which channel serves which sender: the one list of providers."""

from collections.abc import Callable

from outreach.channels.base import Channel, Hooks
from outreach.channels.twilio import TwilioHooks, TwilioSms
from outreach.errors import Misconfigured
from outreach.reasons import Reason
from outreach.settings import Sender, Settings, is_loopback

PROVIDERS = {"twilio": TwilioSms}


class ProviderUnknown(Reason):
    """{provider} is not one of {known}"""


def open_channel(settings: Settings, sender: Sender, *, may_refresh: Callable[[], bool] = lambda: False) -> Channel:
    """Open a sender's channel inside the running event loop. `may_refresh` is asked before a new token is forced. Raises Misconfigured."""
    if sender.provider not in PROVIDERS:
        raise Misconfigured(key="sender.provider", why=ProviderUnknown(provider=sender.provider, known=", ".join(PROVIDERS)))
    require_mode(settings)
    return PROVIDERS[sender.provider](settings, sender)


def open_hooks(settings: Settings) -> list[Hooks]:
    """Return the reader of each provider's callbacks."""
    return [TwilioHooks(settings)]


def require_mode(settings: Settings) -> None:
    """Refuse a provider in rehearsal and the sandbox in production: what is rehearsed must not reach anybody."""
    if settings.rehearsal and not is_loopback(settings.twilio_base_url):
        raise Misconfigured(key="twilio_base_url", why="in rehearsal it must stay on this machine")
    if not settings.rehearsal and is_loopback(settings.twilio_base_url):
        raise Misconfigured(key="twilio_base_url", why="in production it must be the provider's, not the sandbox")
    if not settings.rehearsal and not (settings.twilio_account_sid and settings.twilio_auth_token):
        raise Misconfigured(key="twilio_account_sid", why="production needs the account and its token")
