"""Every id that figures, states and reasons have in the database has words for people, and they differ where the ids differ."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import get_args

import pytest

from outreach.campaigns import definition, statement
from outreach.channels.base import Kind
from outreach.database.paper_tables import RETURN_REASONS, VISIT_RESULTS
from outreach.database.pledge_tables import CAPACITIES, METHODS, SIGNATURE_STATES, WAYS
from outreach.database.tables import CAMPAIGN_STATES, DELIVERY_STATES
from outreach.reports import standing, words

SKIPS = "suppressed no_address goal_reached stopped cancelled address_changed merged erased".split()
EXCLUSIONS = "no_contact no_address suppressed closed erased".split()
ACTS = "opened code_sent code_passed signed declined withdrawn superseded corrected paper scan_added erased".split()
FIGURES = ("included", *statement.PLAIN, *statement.WAITING, "waiting", "skipped", "doubled")
ENTERPRISES = ("selected", *statement.OUTCOMES, "reached", "waiting", "unknown", "not_reached", "excluded")


@pytest.mark.parametrize(
    ("speak", "ids"),
    [
        (words.delivery_state, DELIVERY_STATES),
        (words.campaign_state, CAMPAIGN_STATES),
        (words.skip_reason, SKIPS),
        (words.exclusion, EXCLUSIONS),
        (words.reason, [*SKIPS, *get_args(Kind)]),
        (words.reason, [*EXCLUSIONS, *get_args(Kind)]),
        (words.error_kind, get_args(Kind)),
        (words.pause_reason, ["staff", "first", "canary", "account", "content"]),
        (words.doubt, ["lease_over", "unreadable", "person", "http 503", "TimeoutError", "ServerDisconnectedError"]),
        (words.channel, definition.CHANNELS),
        (words.condition, definition.CONDITIONS),
        (words.column, FIGURES),
        (words.column, ENTERPRISES),
        (words.mode, ["rehearsal", "production"]),
        (words.meaning, ["opt_out", "opt_in"]),
        (words.column, (*standing.COLUMNS, "pending")),
        (words.state, (*DELIVERY_STATES, *SIGNATURE_STATES)),
        (words.way, WAYS),
        (words.method, METHODS),
        (words.capacity, CAPACITIES),
        (words.act, ACTS),
        (words.return_reason, RETURN_REASONS),
        (words.visit_result, VISIT_RESULTS),
        (partial(words.column, channel="letter"), FIGURES),
        (partial(words.column, channel="visit"), FIGURES),
        (partial(words.reason, channel="letter"), [*SKIPS, *RETURN_REASONS]),
        (partial(words.reason, channel="visit"), [*SKIPS, "closed", "not_found"]),
    ],
)
def test_every_id_has_words_of_its_own(speak: Callable[[str], str], ids: Sequence[str]) -> None:
    said = [speak(id) for id in ids]
    assert len(set(said)) == len(ids)
    assert not [word for word in said if "_" in word or not word]


def test_an_id_that_nobody_knows_is_shown_as_it_is() -> None:
    speakers = (words.delivery_state, words.reason, words.channel, words.column, words.field, words.campaign_state, words.pause_reason)
    assert {speak("brand new") for speak in speakers} == {"brand new"}


def test_rows_for_people_hold_words_and_rows_themselves_stay_as_they_are() -> None:
    rows = [{"state": "silent", "channel": "sms", "reason": None, "kind": "address", "town": "sms", "delivered": 3}]
    assert list(words.in_words(rows)) == [
        {"state": "no receipt", "channel": "text message", "reason": None, "kind": "bad number", "town": "sms", "delivered": 3}
    ]
    assert rows[0]["state"] == "silent"


def test_a_letter_is_printed_and_posted_where_a_text_is_accepted_and_delivered() -> None:
    rows = [{"channel": channel, "state": "accepted"} for channel in ("sms", "letter", "visit")]
    rows += [{"channel": "letter", "state": "undelivered", "reason": "address"}, {"channel": "sms", "state": "undelivered", "reason": "address"}]
    assert [(row["state"], row.get("reason")) for row in words.in_words(rows)] == [
        ("accepted by the provider", None),
        ("printed, to be posted", None),
        ("given to a visitor", None),
        ("returned", "address incomplete"),
        ("undelivered", "bad number"),
    ]


def test_figures_of_one_channel_have_its_words_and_mixed_ones_those_that_fit_all() -> None:
    assert words.column("delivered", words.of_one(["letter", "letter"])) == "posted"
    assert words.column("delivered", words.of_one(["letter", "sms"])) == words.column("delivered", words.of_one([])) == "delivered"
