"""An enterprise signs once, however often and from wherever it is asked; what it says settles it, and nothing is overwritten."""

import threading
from dataclasses import replace
from typing import Any

import pytest
from sqlalchemy import update

from outreach import clock
from outreach.database.pledge_tables import Correction, Evidence, Refusal, Signature
from outreach.database.tables import Enterprise, PledgeVersion, Recipient
from outreach.pledges import corrections, signing
from outreach.pledges.corrections import CorrectionRequest
from outreach.pledges.signing import DeclineRequest

from drive import PLEDGE, Office, phone  # isort: skip


def acts(desk: Office) -> list[str]:
    return [row.act for row in desk.rows(Evidence)]


def declining(desk: Office, recipient: int, **keys: Any) -> DeclineRequest:
    visitor = desk.visitor(recipient)
    values: dict[str, Any] = {
        "enterprise_ids": [item.id for item in visitor.enterprises],
        "version_id": visitor.version.id,
        "way": "link",
        "reason": "要先问律师",
        "at": clock.now(),
        "recipient_id": recipient,
        "campaign_id": visitor.campaign_id,
    }
    return DeclineRequest(**(values | keys))


def decline(desk: Office, *requests: DeclineRequest) -> None:
    with desk.database.write() as session:
        signing.decline(session, requests)


def test_a_signature_names_its_version_its_way_and_its_checks_and_settles_the_enterprise(desk: Office) -> None:
    [enterprise] = desk.enterprises()
    desk.asking()
    [recipient] = desk.recipients()
    [[signed]] = desk.sign(desk.signing(recipient.id, way="code", checks=["phone_last4"]))
    [row], [version], [known] = desk.rows(Signature), desk.rows(PledgeVersion), desk.rows(Enterprise)
    assert (signed.fresh, signed.enterprise_id, signed.serial) == (True, enterprise, row.serial)
    assert (row.version_id, row.way, row.checks, row.state, row.enterprise) == (version.id, "code", ["phone_last4"], "signed", known.name)
    assert (known.outcome, known.settled_at) == ("signed", row.signed_at)
    assert row.serial == f"{row.signed_at.astimezone(clock.OFFICE_ZONE).year}-000001"
    assert acts(desk) == ["signed"]
    assert desk.rows(Recipient)[0].opened_at is not None


def test_the_second_post_gives_back_the_first_signature(desk: Office) -> None:
    desk.enterprises()
    desk.asking()
    [recipient] = desk.recipients()
    request = desk.signing(recipient.id)
    [[first]] = desk.sign(request)
    [[second], [third]] = desk.sign(replace(request, signer="张三"), request)
    assert (second.serial, third.serial) == (first.serial, first.serial)
    assert not second.fresh
    assert [row.signer for row in desk.rows(Signature)] == ["王建国"]
    assert acts(desk).count("signed") == 1


def test_two_tabs_in_one_group_sign_once(desk: Office) -> None:
    desk.enterprises()
    desk.asking()
    request = desk.signing(desk.recipients()[0].id)
    [[first], [second]] = desk.sign(request, request)
    assert (first.fresh, second.fresh, first.serial) == (True, False, second.serial)


def test_a_person_of_several_enterprises_signs_each_or_all(desk: Office) -> None:
    mine = desk.enterprises(3, phones=[phone(7)] * 3)
    desk.asking()
    [recipient] = desk.recipients()
    desk.sign(desk.signing(recipient.id, mine[1]))
    assert [bool(item.signature) for item in desk.visitor(recipient.id).enterprises] == [False, True, False]
    [result] = desk.sign(desk.signing(recipient.id))
    assert [item.fresh for item in result] == [True, False, True]
    assert len({row.serial for row in desk.rows(Signature)}) == 3


def test_serials_of_a_year_have_no_gap_and_no_double(desk: Office) -> None:
    desk.enterprises(30)
    desk.asking()
    requests = [desk.signing(row.id) for row in desk.recipients()]
    desk.sign(*requests[:10])
    desk.sign(*requests[5:])
    assert sorted(int(row.serial[5:]) for row in desk.rows(Signature)) == list(range(1, 31))


def test_many_at_once_from_several_processes_sign_once_each(desk: Office) -> None:
    desk.enterprises(12)
    desk.asking()
    requests = [desk.signing(row.id) for row in desk.recipients()]
    results: list[list[str]] = []

    def post(order: int) -> None:
        own = requests if order % 2 else list(reversed(requests))
        results.append(sorted(signed.serial for [signed] in desk.sign(*own)))

    threads = [threading.Thread(target=post, args=(order,)) for order in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(results) == 6, "nobody may fail or wait for ever"
    assert len({tuple(serials) for serials in results}) == 1
    assert len(desk.rows(Signature)) == 12


def test_a_new_version_asks_anew_and_supersedes(desk: Office) -> None:
    desk.enterprises()
    desk.asking("first")
    [[old]] = desk.sign(desk.signing(desk.recipients()[0].id))
    folder = desk.settings.home / "templates" / "pledge"
    folder.mkdir(parents=True)
    shipped = next(place / "pledge" / f"{PLEDGE}.md" for place in desk.settings.template_folders if (place / "pledge" / f"{PLEDGE}.md").is_file())
    (folder / f"{PLEDGE}.md").write_text(shipped.read_text("utf-8").replace("公开承诺", "在新的一年公开承诺"), "utf-8")
    second = desk.asking("second")
    [recipient] = desk.recipients(second)
    assert desk.visitor(recipient.id).version.number == 2
    [[new]] = desk.sign(desk.signing(recipient.id))
    states = {row.serial: (row.state, row.superseded_by) for row in desk.rows(Signature)}
    assert states == {old.serial: ("superseded", new.signature_id), new.serial: ("signed", None)}
    [[again]] = desk.sign(desk.signing(desk.recipients()[0].id))
    assert again.serial == new.serial, "the old version does not come back through an old link"
    assert acts(desk).count("superseded") == 1


def test_a_paper_without_its_scan_is_pending_counts_for_nothing_and_gives_way(desk: Office) -> None:
    desk.enterprises()
    desk.asking()
    [recipient] = desk.recipients()
    request = desk.signing(recipient.id, way="paper", method="paper", state="pending", recorded_by="alice")
    [[paper]] = desk.sign(request)
    assert desk.rows(Enterprise)[0].settled_at is None
    [[signed]] = desk.sign(desk.signing(recipient.id))
    assert signed.fresh
    assert {row.serial: row.state for row in desk.rows(Signature)} == {paper.serial: "superseded", signed.serial: "signed"}
    [[late]] = desk.sign(request)
    assert late.serial == signed.serial


def test_who_declines_is_settled_once_and_may_sign_later(desk: Office) -> None:
    desk.enterprises()
    desk.asking()
    [recipient] = desk.recipients()
    request = declining(desk, recipient.id)
    decline(desk, request, request)
    decline(desk, request)
    assert [row.reason for row in desk.rows(Refusal)] == ["要先问律师"]
    assert desk.rows(Enterprise)[0].outcome == "declined"
    assert desk.visitor(recipient.id).enterprises[0].refused_at is not None
    [[signed]] = desk.sign(desk.signing(recipient.id))
    assert signed.fresh
    assert desk.rows(Enterprise)[0].outcome == "signed"
    decline(desk, declining(desk, recipient.id))
    assert desk.rows(Enterprise)[0].outcome == "signed", "who has signed withdraws; a stray click declines nothing"


def test_a_withdrawal_keeps_the_row_and_its_reason_and_may_be_followed_by_a_new_signature(desk: Office) -> None:
    desk.enterprises()
    desk.asking()
    [recipient] = desk.recipients()
    [[first]] = desk.sign(desk.signing(recipient.id))
    with desk.database.write() as session:
        signing.withdraw(session, first.serial, reason="签错单位", by="alice", now=clock.now())
    [row] = desk.rows(Signature)
    assert (row.state, row.ended_reason, row.signer) == ("withdrawn", "签错单位", "王建国")
    assert desk.rows(Enterprise)[0].outcome == "withdrawn"
    with pytest.raises(signing.SignatureEnded), desk.database.write() as session:
        signing.withdraw(session, first.serial, reason="再来", by="alice", now=clock.now())
    with pytest.raises(signing.SignatureUnknown), desk.database.write() as session:
        signing.withdraw(session, "1999-000001", reason="", by="alice", now=clock.now())
    [[again]] = desk.sign(desk.signing(recipient.id))
    assert again.fresh
    assert [row.state for row in desk.rows(Signature)] == ["withdrawn", "signed"]


def test_opening_is_written_down_once(desk: Office) -> None:
    desk.enterprises(2, phones=[phone(7)] * 2)
    desk.asking()
    [recipient] = desk.recipients()
    for _time in range(3):
        with desk.database.write() as session:
            signing.opened(session, [recipient.id], now=clock.now())
    assert acts(desk) == ["opened"]
    assert all(row.opened_at for row in desk.rows(Enterprise))


def test_what_somebody_corrects_is_kept_once_and_stops_what_is_not_for_him(desk: Office) -> None:
    desk.enterprises(2)
    desk.asking()
    one, two = desk.recipients()
    requests = [
        CorrectionRequest(recipient_id=one.id, kind="not_principal", detail="找李四", way="link", at=clock.now()),
        CorrectionRequest(recipient_id=two.id, kind="new_number", detail="13800138000", way="code", at=clock.now()),
    ]
    for _time in range(2):
        with desk.database.write() as session:
            corrections.correct(session, requests)
    assert [row.kind for row in desk.rows(Correction)] == ["not_principal", "new_number"]
    assert [row.stopped_at is not None for row in desk.rows(Recipient)] == [True, False]


def test_a_signature_after_an_erasure_of_the_contact_needs_no_contact(desk: Office) -> None:
    [enterprise] = desk.enterprises()
    desk.asking()
    desk.write(update(Enterprise).where(Enterprise.id == enterprise).values(name="改名后的公司"))
    [[signed]] = desk.sign(desk.signing(desk.recipients()[0].id, contact_id=None))
    assert (signed.fresh, desk.rows(Signature)[0].enterprise) == (True, "改名后的公司")
