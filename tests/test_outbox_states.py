"""Receipts in any order and any number end alike: the table of states is a law, not a habit of the provider."""

from collections.abc import Sequence
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from outreach.database.tables import DELIVERY_STATES, FINAL
from outreach.outbox.states import RANK, after, after_all, after_carried

NEWS = ("accepted", "delivered", "undelivered", "failed")
states = st.sampled_from(DELIVERY_STATES)
news = st.lists(st.sampled_from(NEWS), max_size=8)


@given(states, news, st.randoms())
def test_news_in_any_order_ends_alike(state: str, items: list[str], order: Random) -> None:
    shuffled = list(items)
    order.shuffle(shuffled)
    assert after_all(state, items) == after_all(state, shuffled)


@given(states, news, st.lists(st.integers(0, 7), max_size=8))
def test_news_that_comes_again_changes_nothing(state: str, items: list[str], again: Sequence[int]) -> None:
    repeated = items + [items[place % len(items)] for place in again if items]
    assert after_all(state, repeated) == after_all(state, items)


@given(states, news)
def test_a_delivery_never_goes_back_by_rank(state: str, items: list[str]) -> None:
    assert RANK.get(after_all(state, items), 0) >= RANK.get(state, 0)


@given(states, st.lists(st.sampled_from(NEWS), min_size=1, max_size=8))
def test_what_is_final_stays_final(state: str, items: list[str]) -> None:
    end = after_all(state, items)
    assert end in FINAL or (end == "accepted" and state not in FINAL)


@given(st.lists(st.sampled_from(NEWS), min_size=1, max_size=8))
def test_a_skipped_one_never_opens_again(items: list[str]) -> None:
    best = max(items, key=lambda item: RANK[item])
    assert after_all("skipped", items) == ("silent" if best == "accepted" else best)


@given(st.sampled_from(["queued", "sending", "unknown", "review"]), st.sampled_from(NEWS))
def test_whatever_we_believed_a_receipt_proves_that_the_provider_had_it(state: str, item: str) -> None:
    assert after(state, item) == item


@pytest.mark.parametrize(
    ("state", "item", "end"),
    [
        ("delivered", "undelivered", "delivered"),
        ("delivered", "accepted", "delivered"),
        ("undelivered", "delivered", "delivered"),
        ("undelivered", "failed", "undelivered"),
        ("failed", "accepted", "failed"),
        ("failed", "delivered", "delivered"),
        ("silent", "accepted", "silent"),
        ("silent", "undelivered", "undelivered"),
        ("accepted", "accepted", "accepted"),
        ("skipped", "failed", "failed"),
    ],
)
def test_the_ranks_are_those_of_the_design(state: str, item: str, end: str) -> None:
    assert after(state, item) == end


CARRIED_NEWS = ("accepted", "queued", "delivered", "undelivered")


@given(states, st.lists(st.sampled_from(CARRIED_NEWS), max_size=8))
def test_of_what_people_carry_the_latest_word_on_its_arrival_holds(state: str, items: list[str]) -> None:
    end = state
    for item in items:
        end = after_carried(end, item)
    said = [item for item in items if item in ("delivered", "undelivered")]
    assert end == said[-1] if said else end in {state, "accepted", "queued"}


@given(st.sampled_from(FINAL), st.sampled_from(("accepted", "queued")))
def test_a_letter_that_is_done_with_goes_into_no_batch_again(state: str, item: str) -> None:
    assert after_carried(state, item) == state
