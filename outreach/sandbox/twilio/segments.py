"""Count the segments of a text as the networks do: GSM-7 160 alone and 153 each of several, else UCS-2 70 and 67 UTF-16 units."""

BASIC = frozenset("@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§¿abcdefghijklmnopqrstuvwxyzäöñüà")
EXTENSION = frozenset("\f^{}\\[~]|€")
"""Two septets each (3GPP TS 23.038, section 6.2.1.1)."""

GSM = BASIC | EXTENSION


def segments(body: str) -> int:
    """Return how many segments `body` takes; no character is split over two."""
    if GSM.issuperset(body):
        return _count(body, [2 if character in EXTENSION else 1 for character in body], 160, 153)
    units = len(body.encode("utf-16-le")) // 2
    if units == len(body):
        return 1 if units <= 70 else -(-units // 67)
    return _count(body, [2 if character > "\uffff" else 1 for character in body], 70, 67)


def _count(body: str, widths: list[int], alone: int, each: int) -> int:
    total = sum(widths)
    if total <= alone:
        return 1
    if total == len(body):
        return -(-total // each)
    count, used = 1, 0
    for width in widths:
        if used + width > each:
            count, used = count + 1, 0
        used += width
    return count
