"""What WeChat's error codes mean for the office, as data.

Sources: developers.weixin.qq.com, "Global return codes" and the pages of each call; for 40252 and 43116 the staff's answers in the
provider's own forum. WeChat answers HTTP 200 to all of it. Codes may be added at any time: an unknown one is `temporary`, final for
this delivery alone, so that the ladder's next step is tried and nobody is suppressed on a guess.
"""

from typing import Literal

from outreach.channels.base import Kind
from outreach.i18n import gettext as _

Effect = Kind | Literal["token", "busy", "throttled", "day_over", "review"]
"""Beside the kinds of refusal: the access token is not good any more; the provider is busy, and nobody knows whether it did it; too
fast; the quota of the day is used up; somebody reads it first."""

BUSY = -1
INVALID_TOKEN = 40001
UNDER_REVIEW = 40252
ALREADY_SENT = 45065
"""A mass message of this clientmsgid went out before; the answer bears its msg_id."""
ASKED_TOO_SOON = 45066
"""The same clientmsgid again within a minute: what became of the first is not said."""

EFFECTS: dict[int, Effect] = {
    BUSY: "busy",
    61450: "busy",
    # the access token
    INVALID_TOKEN: "token",
    40014: "token",  # invalid access_token
    41001: "token",  # missing
    42001: "token",  # expired
    42007: "token",  # void since the administrator's password changed
    # the account
    40002: "account",
    40013: "account",  # invalid appid
    40125: "account",  # invalid secret
    40164: "account",  # this address is not in the whitelist
    40243: "account",  # the secret is frozen
    41002: "account",
    41004: "account",
    45028: "account",  # no mass message left this month
    48001: "account",  # the account may not make this call
    48003: "account",  # nobody agreed to the terms of mass messages
    48004: "account",  # the call was taken away from the account
    48008: "account",  # the account may not send this kind of message
    50001: "account",
    50002: "account",  # the account is restricted
    50004: "account",
    50007: "account",  # the account is frozen
    61003: "account",
    61007: "account",
    89501: "account",  # this address waits for the administrator's consent
    89503: "account",
    89506: "account",
    89507: "account",
    # the person
    40003: "address",  # invalid openid
    40031: "address",
    43004: "address",  # does not follow
    46004: "address",  # no such person
    43019: "opted_out",  # on the account's black list
    48002: "opted_out",  # refuses messages of this account
    43101: "temporary",  # took back the consent to this subscription notice; the openid is good
    45015: "temporary",  # out of the window of customer-service messages
    45047: "temporary",  # too many of them since the person's last word
    # the text
    40008: "content",
    40036: "content",  # template id of a wrong length
    40037: "content",  # no such template
    40039: "content",  # the link is too long
    40066: "content",  # the link
    40097: "content",
    41030: "content",  # the page of a subscription notice
    43116: "content",  # the template is blocked
    44002: "content",
    44004: "content",  # empty
    45002: "content",  # too long
    45008: "content",
    47001: "content",
    47003: "content",  # a field of the template
    87009: "content",
    # the pace
    43100: "throttled",  # this template changes too often
    45009: "day_over",
    45011: "throttled",  # too many calls this minute
    UNDER_REVIEW: "review",
    # a mass message, by its clientmsgid
    ALREADY_SENT: "temporary",
    ASKED_TOO_SOON: "busy",
    45067: "content",  # the clientmsgid is too long
}

CODES_OF_OAUTH = frozenset({40029, 40163, 41008, 42003})
"""A code of the pledge page that is wrong, was used before, is missing, or is too old."""


def effect(code: int) -> Effect:
    """Return what follows from an error code. An HTTP status below 500 is none of WeChat's own: something stands before it."""
    return EFFECTS.get(code, "account" if 400 <= code < 500 else "temporary")


def kind(code: int) -> Kind:
    """Return what must be done about a refusal with this code, when nothing more is tried."""
    match effect(code):
        case "token" | "day_over":
            return "account"
        case "busy" | "throttled" | "review":
            return "temporary"
        case said:
            return said


def meaning(code: int) -> str:
    """Say in the office's words what a code means and what to do about it; for an unknown code, where it is explained."""
    words = {
        BUSY: _("WeChat is busy"),
        INVALID_TOKEN: _("the access token is not accepted; somebody may have reset the AppSecret"),
        40003: _("there is no such follower"),
        40013: _("wechat_app_id is wrong"),
        40037: _("there is no such template in the account; see the id in the template's front matter"),
        40125: _("wechat_secret is wrong"),
        40164: _("this server's address is not in the account's IP whitelist (mp.weixin.qq.com, basic configuration)"),
        40243: _("the AppSecret is frozen (mp.weixin.qq.com, basic configuration)"),
        43004: _("this person does not follow the account"),
        43116: _("the template was blocked"),
        45009: _("the day's quota of this call is used up; it begins anew at midnight"),
        45011: _("too many calls within a minute"),
        45015: _("the person's last word is too long ago for a customer-service message"),
        45028: _("no mass message is left for this month"),
        45047: _("too many customer-service messages since the person's last word"),
        47003: _("a field of the template holds what it may not hold"),
        48001: _("the account may not make this call; it takes a verified service account"),
        48002: _("the person refuses messages of this account"),
        48003: _("nobody has agreed to the terms of mass messages yet (mp.weixin.qq.com)"),
        48004: _("this call was taken away from the account (mp.weixin.qq.com, notifications)"),
        50002: _("the account is restricted"),
        50007: _("the account is frozen"),
    }
    if 400 <= code < 500:
        return _("what answers at wechat_base_url is not WeChat")
    return words.get(code) or _("see the provider's list of return codes")
