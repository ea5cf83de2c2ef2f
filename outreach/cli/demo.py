"""`outreach demo`: the whole drive on the sandbox, start to finish, in a scratch folder; each line says the command that did it."""

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
import tomlkit

from outreach import settings, tokens
from outreach.channels import loopback
from outreach.cli import demo_letters, demo_paper, demo_people, demo_wechat, processes
from outreach.cli.base import Command, Office, option, pass_office
from outreach.cli.output import hint
from outreach.cli.wording import statement_lines
from outreach.errors import OutreachError
from outreach.i18n import gettext as _
from outreach.reports import words

NAME = "无欠薪2026"
REMINDER = "催签2026"
FOLLOWERS, SIGN_IN_WECHAT = 10, 4
PLANNER, APPROVER = "王拟制", "李审批"
FAULTS = {
    "drop_after_accept": 0.03,
    "error_html": 0.02,
    "throttle": 0.03,
    "truncate": 0.02,
    "receipt_twice": 0.05,
    "receipt_reordered": 0.05,
    "undelivered": 0.04,
}
PACE = {"request_timeout": "1s", "lease": "4s", "settle_grace": "2s", "receipt_wait": "3s"}
"""Seconds instead of minutes, so that what the faults made uncertain is settled while one watches."""


class StepFailed(OutreachError):
    """The demo stopped: `outreach {command}` answered {answer}"""


@dataclass(frozen=True)
class Stage:
    """The scratch office of a demo, and its commands."""

    home: Path
    lang: str

    def run(self, *arguments: str, signed: str | None = None, answer: str = "json") -> Any:
        """Run a command as a user would, and return what it answers as JSON."""
        environment = {key: value for key, value in os.environ.items() if not key.startswith(settings.PREFIX)}
        environment |= {"OUTREACH_HOME": str(self.home), "OUTREACH_LANG": self.lang}
        if signed:
            environment |= {"OUTREACH_STAFF": signed, "OUTREACH_STAFF_PASSWORD_FILE": str(self.password(signed))}
        command = [sys.executable, "-m", "outreach", *arguments, "--format", answer]
        done = subprocess.run(command, capture_output=True, text=True, encoding="utf-8", env=environment, check=False)
        if done.returncode:
            raise StepFailed(command=" ".join(arguments), answer=done.stderr.strip().splitlines()[-1] if done.stderr.strip() else done.returncode)
        return json.loads(done.stdout) if answer == "json" else None

    def password(self, account: str) -> Path:
        """Return the file that holds an account's password."""
        return self.home / "secrets" / f"password-{account}"


def say(line: str, command: str) -> None:
    """Print what was done, and beside it the command that did it."""
    click.echo(f"✓ {line}\n    {click.style('outreach ' + command, dim=True)}")


@click.command("demo", cls=Command)
@option("--out", type=click.Path(file_okay=False, path_type=Path), help="Folder to work in; must be new or empty.")
@option("--serve", is_flag=True, help="Keep web and sandbox running at the end.")
@pass_office
def demo(office: Office, out: Path | None, serve: bool) -> None:
    """The whole drive on the sandbox, start to finish, in a scratch folder."""
    home = out.resolve() if out else Path(tempfile.mkdtemp(prefix="outreach-demo-"))
    if home.is_dir() and any(home.iterdir()):
        raise FolderNotEmpty(path=home)
    stage = Stage(home, office.options.get("lang") or "zh")
    _set_up(stage)
    children = [processes.start(settings.load(home), command) for command in ("sandbox", "serve")]
    try:
        _drive(stage, settings.load(home))
        if serve:
            click.echo(
                _("Pages: {url}   sandbox: {sandbox}   stop: Ctrl-C").format(url=settings.load(home).public_url, sandbox=settings.load(home).sandbox_url)
            )
            children[0].wait()
    finally:
        for child in children:
            child.terminate()
            child.wait(20)


class FolderNotEmpty(OutreachError):
    """{path} is not empty; give a new folder."""


def _set_up(stage: Stage) -> None:
    (stage.home / "secrets").mkdir(parents=True, mode=0o700)
    for account in (PLANNER, APPROVER):
        stage.password(account).write_text(tokens.serial(), "utf-8")
    stage.run("--password-file", str(stage.password(PLANNER)), "init", "--yes", "--account", PLANNER)
    _set_pace(stage.home / "outreach.toml")
    stage.run("staff", "add", APPROVER, "--role", "approver", "--password-file", str(stage.password(APPROVER)), signed=PLANNER)
    say(_("Office set up in {home}, two accounts: {planner} plans, {approver} approves").format(home=stage.home, planner=PLANNER, approver=APPROVER), "init")


def _set_pace(path: Path) -> None:
    document = tomlkit.parse(path.read_text("utf-8"))
    web, gateway = loopback.free_port(), loopback.free_port()
    values: Mapping[str, Any] = {
        **PACE,
        "port": web,
        "public_url": f"http://127.0.0.1:{web}",
        "sandbox_url": f"http://127.0.0.1:{gateway}",
    }
    for key, value in values.items():
        document[key] = value
    path.write_text(tomlkit.dumps(document), "utf-8")


def _drive(stage: Stage, chosen: settings.Settings) -> None:
    _import(stage)
    code = _plan(stage)
    stage.run("campaign", "approve", NAME, "--code", code, signed=APPROVER)
    say(
        _("Approved by {account} with the code {code}; any change from now on voids it").format(account=APPROVER, code=code),
        f"campaign approve {NAME} --code {code}",
    )
    for url, health in ((chosen.sandbox_url, processes.HEALTH_OF_SANDBOX), (chosen.public_url, processes.HEALTH_OF_WEB)):
        if not loopback.wait_for(url, health, seconds=processes.STARTS_WITHIN):
            raise StepFailed(command="sandbox | serve", answer=url)
    loopback.post(chosen.sandbox_url, "/_sandbox/faults", {"seed": 2026, "mix": FAULTS})
    statement = stage.run("campaign", "launch", NAME)
    ledger = loopback.lines(chosen.sandbox_url, "/_sandbox/ledger")
    _witness(ledger, statement)
    _reports(stage, statement)
    people = demo_people.owners(ledger)
    _sign(stage, chosen, people[FOLLOWERS:])
    _wechat(stage, chosen, people[:FOLLOWERS])
    _remind(stage, chosen)
    _letters(stage)
    _proofs(stage)


def _import(stage: Stage) -> None:
    for name in ("示例企业名单.csv", "示例问题名单.csv"):
        result = stage.run("contacts", "import", str(settings.shipped("contacts") / name), "--rejects", str(stage.home / f"{Path(name).stem}-退回.csv"))
        say(
            _("{file}: read {read}, added {added}, updated {updated}, unchanged {unchanged}, refused {rejected}{why}").format(
                **{**result, "file": name}, why=_(", the reasons in {path}").format(path=result["rejects"]) if result["rejects"] else ""
            ),
            f"contacts import {name}",
        )


def _plan(stage: Stage) -> str:
    path = stage.home / f"{NAME}.toml"
    stage.run("campaign", "new", NAME, "--audience", "全部", "--deadline", "2026-12-31", "--out", str(path), "--yes")
    plan = stage.run("campaign", "plan", str(path), signed=PLANNER)
    enterprises = plan["enterprises"]
    line = _("Enterprises {selected} = recipients {recipients} + merged {merged} + excluded {excluded}; {segments} segments, cost {cost}")
    step = plan["steps"][0]
    say(line.format(**enterprises, recipients=plan["recipients"], segments=step["segments"], cost=step["cost"]), f"campaign plan {path.name}")
    click.echo(f"    {step['samples'][0]}")
    return str(plan["code"])


def _witness(ledger: Sequence[Mapping[str, Any]], statement: Mapping[str, Any]) -> None:
    """Count in the gateway's own ledger: it shares no code with the statement."""
    step = statement["steps"][0]
    phones, codes = {line["to"] for line in ledger}, {demo_people.CODE.findall(line["body"])[0] for line in ledger}
    not_sent = sum(step["skipped"].values()) + step["failed"] + step["unknown"] + step["waiting"]["queued"]
    say(
        _("Texts at the gateway {texts} to {recipients} recipients, sent twice {doubled}, forgotten {forgotten}; faults were on").format(
            texts=len(ledger), recipients=len(codes), doubled=len(ledger) - len(phones), forgotten=step["included"] - len(codes) - not_sent
        ),
        f"campaign launch {NAME}",
    )


def _reports(stage: Stage, statement: Mapping[str, Any]) -> None:
    for line in statement_lines(statement):
        say(line, f"campaign statement {NAME}")
    path = stage.home / "各镇街发送情况.xlsx"
    command = ["report", "deliveries", "--campaign", NAME, "--by", "town"]
    for row in stage.run(*command)["rows"]:
        parts = [f"{words.column(key)} {row[key]}" for key in ("included", "delivered", "undelivered", "failed", "silent", "unknown") if row[key]]
        click.echo(f"    {row['town']}: {'  '.join(parts)}")
    stage.run(*command, "--out", str(path), answer="xlsx")
    say(_("Workbook by town: {path}").format(path=path), " ".join([*command, "--format xlsx --out FILE"]))


def _sign(stage: Stage, chosen: settings.Settings, people: Sequence[demo_people.Owner]) -> None:
    """Let owners answer as people would: on the page with their code, and one on paper."""
    url = chosen.public_url
    signers, (refuser, stranger, on_paper) = people[:-3], people[-3:]
    signed = demo_people.sign_some(url, signers)
    demo_people.decline(url, refuser, "要先问律师")
    demo_people.correct(url, stranger, "我已不是负责人，请找李四")
    say(
        _("At the page {url}: {signed} owners typed their code and signed, one twice; one declined, one is not the principal").format(url=url, signed=signed),
        "pledges list",
    )
    sheet = stage.home / "签字表.pdf"
    photograph = stage.home / "签字表.jpg"
    stage.run("pledges", "form", on_paper.code, "--out", str(sheet))
    demo_paper.sign_by_hand(sheet, photograph)
    stage.run("pledges", "record-paper", "--pile", str(photograph), signed=PLANNER)
    say(
        _("One signed on paper: the sheet printed, signed by hand, scanned, and led back to its enterprise by its QR code"),
        f"pledges record-paper --pile {photograph.name}",
    )


def _wechat(stage: Stage, chosen: settings.Settings, people: Sequence[demo_people.Owner]) -> None:
    """Let owners come by WeChat, with what the gateway does to the account's callbacks set aside."""
    loopback.post(chosen.sandbox_url, "/_sandbox/faults", {"seed": 2026, "mix": {}})
    demo_wechat.bind_some(chosen.sandbox_url, chosen.public_url, people, signing=SIGN_IN_WECHAT)
    reached = stage.run("report", "reach")["totals"]
    say(
        _("In WeChat {count} owners followed the account and sent their code; {signed} of them signed by the link it answered").format(
            count=len(people), signed=SIGN_IN_WECHAT
        ),
        "replies list",
    )
    say(_("Enterprises that can be reached: in WeChat {wechat}, by text {sms}").format(**reached), "report reach")


def _remind(stage: Stage, chosen: settings.Settings) -> None:
    """Remind those who have not signed: in WeChat where they are bound, by a text to all others, and nobody by both."""
    path = stage.home / f"{REMINDER}.toml"
    path.write_text(demo_wechat.CAMPAIGN.format(name=REMINDER), "utf-8")
    plan = stage.run("campaign", "plan", str(path), signed=PLANNER)
    stage.run("campaign", "approve", REMINDER, "--code", plan["code"], signed=APPROVER)
    loopback.post(chosen.sandbox_url, "/_sandbox/faults", {"seed": 2027, "mix": FAULTS})
    statement = stage.run("campaign", "launch", REMINDER)
    sent = [line for line in loopback.lines(chosen.sandbox_url, "/_sandbox/ledger") if demo_wechat.PENDING in line["body"]]
    signed = stage.run("report", "signatures", "--campaign", NAME)["totals"]["signed"]
    say(
        _("Reminded who has not signed ({signed} have): {wechat} in WeChat, {texts} by text, sent twice {doubled}").format(
            signed=signed,
            wechat=sum(line["channel"] == "wechat" for line in sent),
            texts=sum(line["channel"] == "sms" for line in sent),
            doubled=len(sent) - len({line["to"] for line in sent}),
        ),
        f"campaign launch {REMINDER}",
    )
    for line in statement_lines(statement):
        say(line, f"campaign statement {REMINDER}")


def _letters(stage: Stage) -> None:
    """Write on paper to who has not signed, visit whom no letter reached, and print the booklet."""
    path = stage.home / f"{demo_letters.NAME}.toml"
    path.write_text(demo_letters.CAMPAIGN.format(name=demo_letters.NAME), "utf-8")
    plan = stage.run("campaign", "plan", str(path), signed=PLANNER)
    stage.run("campaign", "approve", demo_letters.NAME, "--code", plan["code"], signed=APPROVER)
    stage.run("campaign", "launch", demo_letters.NAME)
    say(*demo_letters.post(stage, str(stage.home / "公开信")))
    say(*demo_letters.visit(stage, str(stage.home / f"走访单-{demo_letters.VISITOR}.pdf")))
    for line in statement_lines(stage.run("campaign", "statement", demo_letters.NAME)):
        say(line, f"campaign statement {demo_letters.NAME}")
    booklet = stage.home / "宣传册.pdf"
    stage.run("papers", "make", "booklet", "--out", str(booklet))
    say(_("The drive's booklet, to be read on a screen or folded: {path}").format(path=booklet), "papers make booklet --out FILE.pdf")


def _proofs(stage: Stage) -> None:
    for row in stage.run("report", "signatures", "--campaign", NAME, "--by", "town")["rows"]:
        parts = [f"{words.column(key)} {row[key]}" for key in ("signed", "declined", "opened", "not_opened", "not_reached") if row[key]]
        click.echo(f"    {row['town']}: {'  '.join(parts)}")
    books = stage.home / "各镇街"
    stage.run("report", "towns", "--campaign", NAME, "--split", "--out", str(books))
    say(_("A workbook for each town, with the enterprises still to be visited: {path}").format(path=books), f"report towns --campaign {NAME} --split --out DIR")
    stage.run("pledges", "certificate")
    first = stage.run("pledges", "list", "--campaign", NAME, "--limit", "1")["rows"][0]
    pdf = stage.home / f"{first['serial']}.pdf"
    stage.run("pledges", "pdf", first["serial"], "--out", str(pdf))
    say(_("A signed pledge with a seal, by a certificate that the demo made itself: {path}").format(path=pdf), f"pledges pdf {first['serial']}")
    audit = stage.run("pledges", "audit")
    say(_("Evidence: {checked} entries checked, {faults} faults").format(checked=audit["checked"], faults=len(audit["faults"])), "pledges audit")
    click.echo(_("Everything lies in {home}").format(home=stage.home))
    hint(f"outreach --home {stage.home} campaign status {NAME}")
