"""Plans, statements and states in sentences for the terminal: each says what happened, in figures that add up."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, time, timedelta
from typing import Any

from rich.cells import cell_len

from outreach.clock import OFFICE_ZONE
from outreach.i18n import gettext as _
from outreach.outbox.states import CARRIED
from outreach.reports import words


def plan_lines(summary: Mapping[str, Any]) -> list[str]:
    """Say a plan: enterprises, principals and messages as three counts; exclusions; each step; samples; the code."""
    enterprises = summary["enterprises"]
    lines = [
        _("Enterprises {selected:,} = recipients {recipients:,} + merged {merged:,} + excluded {excluded:,}{reasons}").format(
            **enterprises, recipients=summary["recipients"], reasons=in_brackets(summary["excluded"])
        )
    ]
    if summary.get("start"):
        lines.append(_("Starts {start}").format(start=local_time(summary["start"])))
    for step in summary["steps"]:
        lines += _step_lines(step)
    lines += [_("Note: {warning}").format(warning=warning) for warning in summary["warnings"]]
    lines.append(_("Mode: {mode}. Approval code: {code}. Nothing has been sent.").format(mode=words.mode(summary["mode"]), code=summary["code"]))
    return lines


def _step_lines(step: Mapping[str, Any]) -> list[str]:
    carried = step["channel"] in CARRIED
    if carried and step["step"] == 1:
        line = _("Step {step}: {channel} {template}, {messages:,}, cost {cost}")
    elif carried:
        line = _("Step {step} ({when}): {channel} {template}, at most {messages:,}, cost {cost}")
    elif step["step"] == 1:
        line = _("Step {step}: {channel} {template}, messages {messages:,}, segments {segments:,}, cost {cost}")
    else:
        line = _("Step {step} ({when}): {channel} {template}, at most: messages {messages:,}, segments {segments:,}, cost {cost}")
    shown = {**step, "channel": words.channel(step["channel"]), "when": _when(step)}
    left = sum(step["skipped"].values())
    not_sent = _(", not sent {count:,}{reasons}").format(count=left, reasons=in_brackets(step["skipped"], step["channel"])) if left else ""
    lines = [line.format(**shown) + not_sent]
    if step.get("every"):
        again = _("    again every {every} until {until}: at most {occurrences:,} times, in segments and cost")
        lines.append(again.format(every=_span(step["every"]), until=_last(step["until"]), occurrences=step["occurrences"]))
    samples = step["samples"][:1] if carried else step["samples"]  # of a text that fills a page one is enough
    return [*lines, *(f"    {line}" for sample in samples for line in sample.split("\n"))]


def _when(step: Mapping[str, Any]) -> str:
    """Say when a later step is due; at once where no time is to pass."""
    condition = words.condition(step["when"])
    if step["after"] == "0s":
        return condition
    return _("{condition} after {after}").format(condition=condition, after=_span(step["after"]))


def _last(text: str) -> str:
    """Write the end of a recurrence: a midnight as the day that it ends."""
    end = datetime.fromisoformat(text).astimezone(OFFICE_ZONE)
    return local_time(text) if end.time() != time() else str(end.date() - timedelta(days=1))


def _span(text: str) -> str:
    seconds = int(text.removesuffix("s"))
    if seconds % 86400 == 0 and seconds:
        return _("{count} d").format(count=seconds // 86400)
    if seconds % 3600 == 0 and seconds:
        return _("{count} h").format(count=seconds // 3600)
    return _("{count} s").format(count=seconds)


def in_brackets(reasons: Mapping[str, int], channel: str = "") -> str:
    """Say the parts of a figure behind it: ` (no phone 391, opted out 25)`, or nothing."""
    if not reasons:
        return ""
    return _(" ({parts})").format(parts=_(", ").join(f"{words.reason(reason, channel)} {count:,}" for reason, count in reasons.items()))


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
    on = step["channel"]
    shown = [(words.column(key, on), count) for key, count in parts if count]
    return shown + ([(words.column("skipped", on) + in_brackets(step["skipped"], on), skipped)] if skipped else [])


def statement_lines(document: Mapping[str, Any]) -> list[str]:
    """Say a statement: a line a step and one for the enterprises, each a sum that adds up."""
    lines = [_step_line(step, _step_name(step, document["steps"])) for step in document["steps"]]
    lines.append(_enterprise_line(document["enterprises"]))
    return lines


def _step_name(row: Mapping[str, Any], rows: Iterable[Mapping[str, Any]]) -> str:
    """Name a step, and its occurrence where it has come again."""
    if any(other["step"] == row["step"] and other["occurrence"] > 1 for other in rows):
        return _("{step} (occurrence {occurrence})").format(step=row["step"], occurrence=row["occurrence"])
    return str(row["step"])


def _step_line(step: Mapping[str, Any], name: str) -> str:
    parts = " + ".join(f"{label} {count:,}" for label, count in step_parts(step)) or "0"
    line = _("Step {step} {channel}: {included:,} = {parts} {mark}").format(
        step=name, channel=words.channel(step["channel"]), included=step["included"], parts=parts, mark=_mark(step["adds_up"])
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
    if document["start"]:
        lines.append(_("Starts {start}").format(start=local_time(document["start"])))
    lines += [_step_line(step, _step_name(step, document["steps"])) for step in document["steps"]]
    lines += funnel_lines(document["funnel"])
    if document["next"] and document["next"]["at"]:
        lines.append(_("Next: step {step} at {at}").format(step=document["next"]["step"], at=local_time(document["next"]["at"])))
    elif document["next"]:
        lines.append(_("Next: step {step}, once what is under way has ended").format(step=document["next"]["step"]))
    return lines


def funnel_lines(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """Draw the funnel of a ladder, a line a step, in columns that stand also where Chinese is written."""
    if not rows:
        return []
    labels = [_("Step"), _("included"), _("sent"), _("delivered"), _("opened"), _("signed")]
    cells = [[_step_name(row, rows), *(f"{row[key]:,}" for key in ("included", "sent", "delivered", "opened", "signed"))] for row in rows]
    widths = [max(map(cell_len, column)) for column in zip(labels, *cells, strict=True)]
    return [_padded(line, widths, arrow) for line, arrow in [(labels, " → "), *((line, "   ") for line in cells)]]


def _padded(line: Sequence[str], widths: Sequence[int], between: str) -> str:
    first, *figures = [" " * (width - cell_len(text)) for text, width in zip(line, widths, strict=True)]
    return line[0] + first + "   " + between.join(blank + text for blank, text in zip(figures, line[1:], strict=True))


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
    if message["channel"] == "wechat":
        line = _("One test message in WeChat to {to}: {state}. It counts in no statement.")
    return [message["body"], line.format(**message, state=words.delivery_state(outcome["state"]))]
