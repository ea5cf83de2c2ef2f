"""What lies in a bundle of evidence: its files, and the shape of each document in it."""

from typing import Any

from pydantic import BaseModel, ConfigDict

FORMAT = "outreach-evidence/1"
README, ABOUT, SIGNATURES, ROWS, BLOCKS = "README.txt", "bundle.json", "signatures.json", "evidence.json", "blocks.jsonl"
TEXTS = {"pledge.md": "source", "letter.md": "letter", "privacy.md": "privacy"}
"""The texts of a version as files, each with the field of version.json that it repeats."""


class Part(BaseModel):
    """A document of a bundle, read as strictly as it is written: a bundle may come from anybody."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)


class About(Part):
    """What the bundle is. `newest_block` is the last block of the chain in it."""

    format: str
    newest_block: int | None
    newest_digest: str | None


class SignaturePart(Part):
    """A signature as it stood when the bundle was made; moments as evidence writes them."""

    id: int
    serial: str
    enterprise_id: int
    enterprise: str
    recipient_id: int | None
    pledge: str
    version: str
    state: str
    way: str
    method: str
    signer: str
    capacity: str
    relation: str
    ink: Any
    checks: Any
    honour: bool
    recorded_by: str
    signed_at: str
    ended_at: str | None
    ended_reason: str | None
    newer: str | None
    """The serial of the signature that took its place."""


class RowPart(Part):
    """A row of evidence with its place in a block and the audit path to that block's root; without a block it is not proved yet."""

    id: int
    body: str
    leaf: str
    block: int | None
    position: int | None
    proof: list[str]
    salt: str | None
    personal: dict[str, Any] | None


class BlockPart(Part):
    """The head of a block."""

    number: int
    previous: str
    root: str
    size: int
    closed_at: str
    digest: str


class VersionPart(Part):
    """The texts and rules of a version of a pledge, over which its digest is made."""

    pledge: str
    fields: dict[str, Any]
    title: str
    source: str
    letter: str
    privacy: str
    renews: str
    one_time_code: bool


README_TEXT = """\
签署存证包（平台存证）
======================

本包是一份承诺书签署的存证，可在任何电脑上离线核验，不需要数据库：

    outreach pledges verify 本文件.zip

证明什么
  · 完整性：自存证以来，签署内容、签署人信息、手写笔迹和承诺书文本没有被改动过。
  · 时间：何时打开、签署、撤回，以本平台服务器的时钟为准（UTC，精确到微秒）。
  · 核验方式：evidence.json 的 checks 写明签署时做过哪些核验：
      phone_last4 登记手机后四位；credit_code_last6 信用代码后六位；one_time_code 短信验证码；
      wechat_bound 已绑定的微信（绑定时核对登记手机后四位）；为空表示只凭专属链接打开。
不证明什么
  · 不证明签署人的法律身份，也不等同于公章或《电子签名法》第十三条的可靠电子签名。
  · 不证明本包制作之后的事（例如之后撤回）；现状请到核验页查询，或向本机关查询。
  · 单凭本包不能排除整条链被重新伪造：请将最新区块的编号和摘要与本机关公布的核对（见下）。
  · 签署人依法要求删除个人信息后，姓名、笔迹等不再在包内，其余仍可核验。

最新区块：{number}
摘要：{digest}

A bundle of evidence (kept by the platform)
===========================================

This is the evidence of a signed pledge. It can be checked offline on any computer, without a database:

    outreach pledges verify THIS_FILE.zip

What it proves
  * Integrity: since they were recorded, neither what was signed, nor who signed, nor the drawn signature, nor the text was altered.
  * Time: when it was opened, signed, withdrawn, by the clock of the platform's server (UTC, to the microsecond).
  * Checks: `checks` in evidence.json says which were made: phone_last4 (last four digits of the registered phone),
    credit_code_last6 (last six characters of the credit code), one_time_code (a code sent by text),
    wechat_bound (a WeChat bound by code and last four digits before); none: the personal link alone.
What it does not prove
  * The legal identity of the signer. It is no official seal, and no reliable electronic signature in the sense of article 13 of the
    Electronic Signature Law.
  * What happened after the bundle was made, such as a withdrawal: ask the verification page or the office.
  * That the whole chain was not forged anew: compare number and digest of the newest block with what the office published.
  * Where a signer had his personal data erased, name and strokes are no longer here; all else can still be checked.

Newest block: {number}
Digest: {digest}

怎样自行核验 / How to check it by other means
  leaf  = SHA-256(00 || body)                      evidence.json: body, leaf
  node  = SHA-256(01 || left || right)             RFC 6962 2.1.1: position, proof; size and root in blocks.jsonl
  block = SHA-256(canonical JSON of closed_at, number, previous, root, size)
  commitment (in body) = SHA-256(salt || canonical JSON of personal)
  version = SHA-256(canonical JSON of texts/*/version.json)
  canonical JSON: UTF-8, keys sorted, no blanks, whole numbers without a point
"""
