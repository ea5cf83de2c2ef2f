"""Layouts are gathered whole: each file from the office's folder or ours, nothing from anywhere else, and kept so that a paper can be made again."""

import base64
from datetime import datetime
from pathlib import Path

import pytest
from papers import words

from outreach.rendering import layouts
from outreach.rendering.layouts import Layout, LayoutBroken, LayoutMissing, LayoutTooLarge, PackageRefused
from outreach.settings import Settings

FRAME = '#let data = json(bytes(sys.inputs.data))\n#set text(font: data.fonts.body)\n#set document(title: "试")\n'


def lay(folder: Path, **files: str) -> Path:
    for name, content in files.items():
        path = folder / "letter" / name.replace("_", ".")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content, "utf-8")
    return folder


def made(layout: Layout, now: datetime, **data: str) -> str:
    return words(layouts.compile(layout, data, settings=Settings(home=Path("nowhere")), now=now)).strip()


def test_what_a_layout_imports_includes_and_reads_comes_with_it_and_the_offices_own_file_goes_first(tmp_path: Path, now: datetime) -> None:
    main = FRAME + '#import "b.typ": word\n#word\n#include "c.typ"\n#read("d.txt")'
    ours = lay(tmp_path / "ours", a_typ=main, b_typ='#let word = "本"', c_typ="产品", d_txt="！")
    office = lay(tmp_path / "office", b_typ='#let word = "我局"')
    layout = layouts.load("letter/a", [office, ours])
    assert sorted(layout.files) == ["letter/a.typ", "letter/b.typ", "letter/c.typ", "letter/d.txt"]
    assert made(layout, now) == "我局 产品！"
    assert made(layouts.load("letter/a", [ours]), now) == "本 产品！"


def test_the_shipped_letter_gathers_what_it_needs() -> None:
    assert set(layouts.load("letter/letter", Settings(home=Path("nowhere")).template_folders).files) == {"letter/letter.typ", "pledge/parts.typ"}


def test_a_frozen_layout_is_the_same_layout_whatever_becomes_of_the_files(tmp_path: Path, now: datetime) -> None:
    folder = lay(tmp_path, a_typ=FRAME + '#import "b.typ": word\n#word', b_typ='#let word = "当时"')
    first = layouts.load("letter/a", [folder])
    kept = first.frozen()
    lay(tmp_path, b_typ='#let word = "后来"')
    later = layouts.load("letter/a", [folder])
    assert layouts.thawed("letter/a", kept) == first and layouts.thawed("letter/a", kept).digest == first.digest != later.digest
    assert (made(layouts.thawed("letter/a", kept), now), made(later, now)) == ("当时", "后来")
    assert base64.b64decode(kept["letter/b.typ"]).decode() == '#let word = "当时"'


@pytest.mark.parametrize("path", ["../../secret.txt", "/../secret.txt", "/../../secret.txt", "link.txt"])
def test_a_layout_reads_nothing_outside_its_folder(tmp_path: Path, now: datetime, path: str) -> None:
    (tmp_path / "secret.txt").write_text("秘密")
    folder = lay(tmp_path / "templates", a_typ=FRAME + f'#read("{path}")')
    (folder / "letter" / "link.txt").symlink_to(tmp_path / "secret.txt")
    layout = layouts.load("letter/a", [folder])
    assert list(layout.files) == ["letter/a.typ"]
    with pytest.raises(LayoutBroken, match=r"not found|escape"):
        made(layout, now)


def test_a_layout_reads_no_file_of_the_folder_that_the_program_runs_in(tmp_path: Path, now: datetime, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = lay(tmp_path / "templates", a_typ=FRAME + '#read("/out" + "reach.toml")')
    (tmp_path / "outreach.toml").write_text("office_name = 1")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(LayoutBroken, match="not found"):
        made(layouts.load("letter/a", [folder]), now)


def test_what_cannot_be_gathered_is_named(tmp_path: Path) -> None:
    folder = lay(tmp_path, a_typ='#import "@preview/cades:0.3.0": *', b_typ='#image("c.svg")', c_svg=" " * 4_000_001)
    with pytest.raises(LayoutMissing, match=r"letter/none"):
        layouts.load("letter/none", [folder])
    with pytest.raises(PackageRefused, match=r"letter/a\.typ.*@preview/cades"):
        layouts.load("letter/a", [folder])
    with pytest.raises(LayoutTooLarge, match=r"letter/b\.typ"):
        layouts.load("letter/b", [folder])
