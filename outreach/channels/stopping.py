"""The words by which people say "no more" and "again", whatever way they write."""

STOP_WORDS = frozenset([*"STOP STOPALL UNSUBSCRIBE CANCEL END QUIT REVOKE OPTOUT TD T R".split(), *"退订 退 拒收 取消 取消订阅 不要再发 拒收请回复R".split()])
RESTART_WORDS = frozenset(["START", "UNSTOP", "YES", "恢复", "订阅"])


def stops(body: str) -> bool:
    """Whether these words mean "no more"."""
    return _word(body) in STOP_WORDS


def restarts(body: str) -> bool:
    """Whether these words take an earlier "no more" back."""
    return _word(body) in RESTART_WORDS


def _word(body: str) -> str:
    return body.strip().strip("。.!！“”\"'【】 ").upper()
