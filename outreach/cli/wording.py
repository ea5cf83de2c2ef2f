"""Plans, statements and states in sentences for the terminal: each says what happened, in figures that add up."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from outreach.clock import OFFICE_ZONE
from outreach.i18n import gettext as _
from outreach.reports import words


def plan_lines(summary: Mapping[str, Any]) -> list[str]:
    """Say a plan: enterprises, principals and messages as three counts; exclusions; each step; samples; the code."""
    enterprises = summary["enterprises"]
    lines = [
        _("Enterprises {selected:,} = recipients {recipients:,} + merged {merged:,} + excluded {excluded:,}{reasons}").format(
            **enterprises, recipients=summary["recipients"], reasons=in_brackets(summary["excluded"])
        )
    ]
    for step in summary["steps"]:
        lines += _step_lines(step)
    lines += [_("Note: {warning}").format(warning=warning) for warning in summary["warnings"]]
    lines.append(_("Mode: {mode}. Approval code: {code}. Nothing has been sent.").format(mode=words.mode(summary["mode"]), code=summary["code"]))
    return lines


def _step_lines(step: Mapping[str, Any]) -> list[str]:
    if step["step"] == 1:
        line = _("Step {step}: {channel} {template}, messages {messages:,}, segments {segments:,}, cost {cost}")
    else:
        line = _("Step {step}: {channel} {template} if {condition} after {after}, at most: messages {messages:,}, segments {segments:,}, cost {cost}")
    shown = {**step, "channel": words.channel(step["channel"]), "condition": words.condition(step["when"]), "after": _span(step["after"])}
    return [line.format(**shown), *(f"    {sample}" for sample in step["samples"])]


def _span(text: str) -> str:
    seconds = int(text.removesuffix("s"))
    if seconds % 86400 == 0 and seconds:
        return _("{count} d").format(count=seconds // 86400)
    if seconds % 3600 == 0 and seconds:
        return _("{count} h").format(count=seconds // 3600)
    return _("{count} s").format(count=seconds)


def in_brackets(reasons: Mapping[str, int]) -> str:
    """Say the parts of a figure behind it: ` (no phone 391, opted out 25)`, or nothing."""
    if not reasons:
        return ""
    return _(" ({parts})").format(parts=_(", ").join(f"{words.reason(reason)} {count:,}" for reason, count in reasons.items()))


def step_parts(step: Mapping[str, Any]) -> list[tuple[str, int]]:
    """Return the parts of a step's statement that are not nothing, in the statement's order, by their labels."""
    waiting = step["waiting"]
    skipped = sum(step["skipped"].values())
    parts = [
        ("delivered", step["delivered"]),
        ("failed", step["failed"]),
        ("undelivered", step["undelivered"]),
        ("silent", step["silent"]),
        ("accepted", waiting["accepted"]),
        ("unknown", step["unknown"]),
        ("review", step["review"]),
        ("queued", waiting["queued"]),
        ("sending", waiting["sending"]),
    ]
    shown = [(words.column(key), count) for key, count in parts if count]
    return shown + ([(words.column("skipped") + in_brackets(step["skipped"]), skipped)] if skipped else [])


def statement_lines(document: Mapping[str, Any]) -> list[str]:
    """Say a statement: a line a step and one for the enterprises, each a sum that adds up."""
    lines = [_step_line(step) for step in document["steps"]]
    lines.append(_enterprise_line(document["enterprises"]))
    return lines


def _step_line(step: Mapping[str, Any]) -> str:
    parts = " + ".join(f"{label} {count:,}" for label, count in step_parts(step)) or "0"
    line = _("Step {step} {channel}: {included:,} = {parts} {mark}").format(
        step=step["step"], channel=words.channel(step["channel"]), included=step["included"], parts=parts, mark=_mark(step["adds_up"])
    )
    return line + (_(" — sent twice: {count:,}").format(count=step["doubled"]) if step["doubled"] else "")


def _enterprise_line(columns: Mapping[str, Any]) -> str:
    keys = ("signed", "declined", "withdrawn", "reached", "waiting", "unknown", "not_reached")
    parts = [f"{words.column(key)} {columns[key]:,}" for key in keys if columns[key]]
    excluded = sum(columns["excluded"].values())
    if excluded:
        parts.append(f"{words.column('excluded')} {excluded:,}{in_brackets(columns['excluded'])}")
    return _("Enterprises: {selected:,} = {parts} {mark}").format(selected=columns["selected"], parts=" + ".join(parts) or "0", mark=_mark(columns["adds_up"]))


def _mark(adds_up: bool) -> str:
    return "✓" if adds_up else _("✗ DOES NOT ADD UP")


def progress_line(steps: list[dict[str, Any]]) -> str:
    """Say how far the latest step is."""
    if not steps:
        return ""
    return " ".join(f"{label} {count:,}" for label, count in step_parts(steps[-1]))


def status_lines(document: Mapping[str, Any]) -> list[str]:
    """Say how a campaign stands."""
    state = words.campaign_state(document["state"])
    reason = f" ({words.pause_reason(document['reason'])})" if document["state"] == "paused" and document["reason"] else ""
    lines = [
        _("Campaign {campaign}: {state}{reason}. Mode: {mode}.").format(
            campaign=document["campaign"], state=state, reason=reason, mode=words.mode(document["mode"])
        )
    ]
    lines.append(
        _("Planned by {planner}, approved by {approver}, launched {launched}.").format(
            planner=document["planned_by"], approver=document["approved_by"] or "-", launched=local_time(document["launched_at"])
        )
    )
    lines += [_step_line(step) for step in document["steps"]]
    lines += [
        _("Funnel of step {step}: included {included:,} → sent {sent:,} → delivered {delivered:,} → opened {opened:,} → signed {signed:,}").format(**step)
        for step in document["funnel"]
    ]
    if document["next"]:
        lines.append(_("Next: step {step} at {at}").format(step=document["next"]["step"], at=local_time(document["next"]["at"])))
    return lines


def local_time(text: str | None) -> str:
    """Write a moment of a JSON document as the office's wall clock shows it."""
    return datetime.fromisoformat(text).astimezone(OFFICE_ZONE).strftime("%Y-%m-%d %H:%M") if text else "-"


def next_step_of(document: Mapping[str, Any]) -> str:
    """Return the command that is usually next for a campaign in this state."""
    name = document["campaign"]
    return {
        "planned": f"outreach campaign approve {name} --code {document['code']}",
        "approved": f"outreach campaign launch {name}",
        "canary": f"outreach campaign watch {name}",
        "running": f"outreach campaign watch {name}",
        "paused": f"outreach campaign launch {name}",
    }.get(str(document["state"]), f"outreach report deliveries --campaign {name}")


def trial_lines(message: Mapping[str, Any], outcome: Mapping[str, Any]) -> list[str]:
    """Say what became of a test message."""
    line = _("One test message to {to}: characters {units}, segments {segments}, {state}. It counts in no statement.")
    return [message["body"], line.format(**message, state=words.delivery_state(outcome["state"]))]
