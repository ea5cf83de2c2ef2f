"""Which channel serves which sender: the one list of providers."""

from collections.abc import Callable

from outreach.channels import modes
from outreach.channels.aliyun import AliyunHooks, AliyunSms
from outreach.channels.base import Channel, Hooks
from outreach.channels.twilio import TwilioHooks, TwilioSms
from outreach.channels.wechat import envelopes
from outreach.channels.wechat.calls import Account
from outreach.channels.wechat.hooks import WeChatHooks
from outreach.channels.wechat.sending import WeChat
from outreach.errors import Misconfigured
from outreach.reasons import Reason
from outreach.settings import Sender, Settings

Refresh = Callable[[], bool]

PROVIDERS: dict[str, Callable[[Settings, Sender, Refresh], Channel]] = {
    "twilio": lambda settings, sender, _: TwilioSms(settings, sender),
    "wechat": WeChat,
    "aliyun": lambda settings, sender, _: AliyunSms(settings, sender),
}


FILLS_TEMPLATES = frozenset({"aliyun"})
"""Providers of texts to phones that write each text themselves from what was filed with them."""


class ProviderUnknown(Reason):
    """{provider} is not one of {known}"""


def open_channel(settings: Settings, sender: Sender, *, may_refresh: Refresh = lambda: False) -> Channel:
    """Open a sender's channel inside the running event loop. `may_refresh` is asked before a new token is forced. Raises Misconfigured."""
    if sender.provider not in PROVIDERS:
        raise Misconfigured(key="sender.provider", why=ProviderUnknown(provider=sender.provider, known=", ".join(PROVIDERS)))
    require_mode(settings)
    return PROVIDERS[sender.provider](settings, sender, may_refresh)


def open_hooks(settings: Settings) -> list[Hooks]:
    """Return the reader of each provider's callbacks. Where the office has no secret with a provider nobody could be told from it."""
    hooks: list[Hooks] = []
    if settings.twilio_auth_token:
        hooks.append(TwilioHooks(settings))
    if settings.wechat_token:
        hooks.append(WeChatHooks(settings))
    if settings.aliyun_hook_word:
        hooks.append(AliyunHooks(settings))
    return hooks


def open_account(settings: Settings, *, may_refresh: Refresh = lambda: False) -> Account:
    """Open the office's WeChat account, for all that is asked of it apart from messages. Raises Misconfigured."""
    require_mode(settings)
    return Account(settings, may_refresh=may_refresh)


def require_mode(settings: Settings) -> None:
    """Refuse a provider in rehearsal and the sandbox in production, and a key that can be none. Raises Misconfigured."""
    modes.require_mode(settings)
    envelopes.crypto(settings)
