"""Commits in groups: nobody is answered before his own commit, nobody suffers for his neighbour, and nothing is left behind."""

import asyncio
import threading
from collections.abc import Coroutine, Sequence
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from outreach.errors import Unavailable
from outreach.web.groups import GroupCommit


class Store:
    """A store whose commits can be held back; a group with a number below zero is refused whole."""

    def __init__(self, *, held: bool = False) -> None:
        self.commits: list[list[int]] = []
        self.running = 0
        self.at_once = 0
        self.threads: set[int] = set()
        self.go = threading.Event()
        self.reached = threading.Event()
        if not held:
            self.go.set()

    def apply(self, items: Sequence[int]) -> None:
        self.running += 1
        self.at_once = max(self.at_once, self.running)
        self.threads.add(threading.get_ident())
        self.reached.set()
        try:
            assert self.go.wait(10)
            if any(item < 0 for item in items):
                raise ValueError("poisoned")
            self.commits.append(list(items))
        finally:
            self.running -= 1


def run(story: Coroutine[Any, Any, None]) -> None:
    asyncio.run(asyncio.wait_for(story, 20))


async def reached(store: Store) -> None:
    assert await asyncio.to_thread(store.reached.wait, 10)


def test_a_lone_item_is_committed_at_once() -> None:
    async def story() -> None:
        store = Store()
        await GroupCommit(store.apply).add(1)
        assert store.commits == [[1]]

    run(story())


def test_what_arrives_while_a_commit_runs_shares_the_next_one() -> None:
    async def story() -> None:
        store = Store(held=True)
        group = GroupCommit(store.apply)
        asked = [asyncio.create_task(group.add(1))]
        await reached(store)
        asked += [asyncio.create_task(group.add(item)) for item in range(2, 52)]
        await asyncio.sleep(0.05)
        assert not [task for task in asked if task.done()]
        store.go.set()
        await asyncio.gather(*asked)
        assert store.commits == [[1], list(range(2, 52))]

    run(story())


def test_a_group_is_never_larger_than_it_may_be() -> None:
    async def story() -> None:
        store = Store()
        group = GroupCommit(store.apply, at_most=10)
        await asyncio.gather(*(group.add(item) for item in range(35)))
        assert sorted(item for items in store.commits for item in items) == list(range(35))
        assert max(map(len, store.commits)) == 10

    run(story())


@given(st.lists(st.integers(-3, 20), max_size=40), st.integers(1, 15))
@settings(max_examples=40, deadline=None)
def test_each_good_item_is_committed_once_whatever_its_neighbours_are(items: list[int], at_most: int) -> None:
    async def story() -> None:
        store = Store()
        group = GroupCommit(store.apply, at_most=at_most)
        ends = await asyncio.gather(*(group.add(item) for item in items), return_exceptions=True)
        assert [isinstance(end, ValueError) for end in ends] == [item < 0 for item in items]
        assert sorted(item for one in store.commits for item in one) == sorted(item for item in items if item >= 0)
        assert store.at_once <= 1

    run(story())


def test_a_failed_group_does_not_hold_up_the_next() -> None:
    async def story() -> None:
        store = Store()
        group = GroupCommit(store.apply)
        with pytest.raises(ValueError, match="poisoned"):
            await group.add(-1)
        await group.add(7)
        assert store.commits == [[7]]

    run(story())


def test_a_database_that_does_not_answer_fails_the_group_once_and_not_each_item_after_the_other() -> None:
    calls: list[int] = []

    def apply(items: Sequence[int]) -> None:
        calls.append(len(items))
        if len(calls) == 1:
            raise Unavailable(what="The database")

    async def story() -> None:
        group = GroupCommit(apply)
        ends = await asyncio.gather(*(group.add(item) for item in range(30)), return_exceptions=True)
        assert [type(end) for end in ends] == [Unavailable] * 30
        await group.add(1)
        assert calls == [30, 1]

    run(story())


def test_whoever_goes_away_takes_nobody_with_him_and_his_item_is_kept() -> None:
    async def story() -> None:
        store = Store(held=True)
        group = GroupCommit(store.apply)
        first = asyncio.create_task(group.add(1))
        await reached(store)
        gone, stays = asyncio.create_task(group.add(2)), asyncio.create_task(group.add(3))
        await asyncio.sleep(0)
        gone.cancel()
        first.cancel()
        store.go.set()
        await stays
        assert store.commits == [[1], [2, 3]]

    run(story())


def test_closing_waits_for_all_that_is_under_way() -> None:
    async def story() -> None:
        store = Store(held=True)
        group = GroupCommit(store.apply)
        asked = [asyncio.create_task(group.add(1))]
        await reached(store)
        asked.append(asyncio.create_task(group.add(2)))
        await asyncio.sleep(0)
        closing = asyncio.create_task(group.drained())
        await asyncio.sleep(0.05)
        assert not closing.done()
        store.go.set()
        await closing
        assert store.commits == [[1], [2]]
        await asyncio.gather(*asked)
        await group.drained()

    run(story())
