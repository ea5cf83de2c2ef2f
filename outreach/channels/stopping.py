"""The words by which people say "no more" and "again", whatever way they write."""

import re

STOP_WORDS = frozenset([*"STOP STOPALL UNSUBSCRIBE CANCEL END QUIT REVOKE OPTOUT TD T R".split(), *"退订 退 拒收 取消 取消订阅 不要再发 拒收请回复R".split()])
RESTART_WORDS = frozenset(["START", "UNSTOP", "YES", "恢复", "恢復", "订阅", "訂閱"])
SAID_IN_SHORT = re.compile("退订|退訂|拒收|取消订阅|取消訂閱|不要再发|别再发|不要发了|别发了|不要再發")
LONGEST_STOP = 12
"""Characters of a sentence that says no more than this: 我要退订, 请不要再发了. In a longer one it may be a question."""


def stops(body: str) -> bool:
    """Whether these words mean "no more"."""
    word = _word(body)
    return word in STOP_WORDS or (len(word) <= LONGEST_STOP and bool(SAID_IN_SHORT.search(word)) and not _ASKS.search(word))


def restarts(body: str) -> bool:
    """Whether these words take an earlier "no more" back."""
    return _word(body) in RESTART_WORDS


_ASKS = re.compile("[?？]|吗|怎么|如何|没有|恢复")


def _word(body: str) -> str:
    return body.strip().strip("。.!！“”\"'【】 ").upper()
