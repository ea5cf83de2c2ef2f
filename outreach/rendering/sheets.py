"""What every sheet for signing by hand says, wherever it is printed: by itself, or behind a letter."""


def said(title: str, *, hotline: str) -> dict[str, str]:
    """Return the words of `sheet` in the layout pledge/parts.typ that are the same on every sheet; `title` is the pledge's."""
    return {
        "title": title,
        "return": f"请签名盖章后交所在镇（街道）劳动保障机构，或交上门走访的工作人员。核实请自行拨打{hotline}。",
        "privacy": "签署人信息仅用于核对和统计签订情况；《个人信息处理告知书》可扫码阅读，或向本机关索取。",
        "promise": "自愿签订，不收费用，不索要密码和银行卡。",
    }
