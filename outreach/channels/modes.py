"""A rehearsal stays on this machine, and in production nothing goes to the sandbox: held before any provider is spoken to."""

from collections.abc import Iterator
from dataclasses import dataclass

from outreach.errors import Misconfigured
from outreach.reasons import Reason
from outreach.settings import Settings, is_loopback


class OnlyRehearsed(Reason):
    """in rehearsal it must stay on this machine"""


class NotTheSandbox(Reason):
    """in production it must be the provider's, not the sandbox"""


class NotSecret(Reason):
    """in production it must begin with https://"""


class NeedsAccount(Reason):
    """production needs the account and its token"""


@dataclass(frozen=True, slots=True)
class _Provider:
    """What the settings hold of one provider: its addresses, and what it knows the office by."""

    name: str
    urls: tuple[str, ...]
    account: tuple[str, ...]


PROVIDERS = (
    _Provider("twilio", ("twilio_base_url",), ("twilio_account_sid", "twilio_auth_token")),
    _Provider("wechat", ("wechat_base_url", "wechat_oauth_url"), ("wechat_app_id", "wechat_secret")),
    _Provider("aliyun", ("aliyun_base_url",), ("aliyun_access_key_id", "aliyun_access_key_secret")),
)


def require_mode(settings: Settings) -> None:
    """Refuse a provider in rehearsal and the sandbox in production: what is rehearsed must not reach anybody. Raises Misconfigured."""
    for key in (key for provider in PROVIDERS for key in provider.urls):
        if settings.rehearsal and getattr(settings, key) and not is_loopback(getattr(settings, key)):
            raise Misconfigured(key=key, why=OnlyRehearsed())
    if settings.rehearsal:
        return
    for provider in _used(settings):
        for key in provider.urls:
            if is_loopback(getattr(settings, key)):
                raise Misconfigured(key=key, why=NotTheSandbox())
            if not getattr(settings, key).startswith("https://"):
                raise Misconfigured(key=key, why=NotSecret())
        for key in provider.account:
            if not getattr(settings, key):
                raise Misconfigured(key=key, why=NeedsAccount())


def _used(settings: Settings) -> Iterator[_Provider]:
    """Give the providers that a sender goes out by."""
    names = {sender.provider for sender in settings.sender}
    return (provider for provider in PROVIDERS if provider.name in names)
