"""Which words mean "no more", and which only speak of it."""

import pytest

from outreach.channels import stopping


@pytest.mark.parametrize("words", ["退订", "我要退订", "请退订。", "TD", "t", "取消订阅", "不要再发了！", "请不要再发短信了", "拒收", "STOP"])
def test_words_that_say_no_more_stop(words: str) -> None:
    assert stopping.stops(words)


@pytest.mark.parametrize("words", ["退订吗？", "怎么退订", "我没有退订过", "收到", "恢复", "请问退订以后还能不能在网上签订倡议书", "", "7K3M9P"])
def test_words_that_only_speak_of_it_do_not(words: str) -> None:
    assert not stopping.stops(words)


@pytest.mark.parametrize("words", ["恢复", "恢復", "START", "订阅。"])
def test_words_that_take_it_back(words: str) -> None:
    assert stopping.restarts(words)
