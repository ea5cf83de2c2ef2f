"""The office's seal: it finds every change, is known again, and is refused in words where it is not set up whole."""

import shutil
import stat
import subprocess
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from asn1crypto import keys, tsp
from asn1crypto import x509 as asn1_x509
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from hypothesis import given
from hypothesis import settings as examples
from hypothesis import strategies as st
from pyhanko.pdf_utils.incremental_writer import IncrementalPdfFileWriter
from pyhanko.sign.timestamps import DummyTimeStamper
from test_pledges_documents import AT, signature, version

from outreach.channels.timestamps import TimestampMissing, TimestampOutside
from outreach.pledges import seals
from outreach.pledges.seals import SealExpired, SealIncomplete, SealMismatch, SealThere, SealUnreadable
from outreach.settings import Settings, load

from outreach.pledges import documents  # isort: skip

NOW = datetime(2026, 1, 16, 1, 2, 3, tzinfo=UTC)
OFFICE = "示例市人力资源和社会保障局"


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An office with a certificate that it made itself."""
    folder = tmp_path_factory.mktemp("sealing")
    seals.make_certificate(folder, OFFICE, now=AT)
    return folder


@pytest.fixture(scope="module")
def plain() -> bytes:
    return documents.signed_pdf(signature(), version(), settings=Settings(home=Path("nowhere")))


def sealed_by(home: Path, content: bytes, **options: Any) -> bytes:
    seal = seals.configured(load(home, **options))
    assert seal is not None
    return seals.put_on(content, seal, now=NOW)


@pytest.fixture(scope="module")
def sealed(home: Path, plain: bytes) -> bytes:
    return sealed_by(home, plain)


def test_a_sealed_file_is_ours_whole_and_says_which_signature_it_is_of(home: Path, sealed: bytes) -> None:
    found = seals.look(sealed, settings=load(home))
    assert (found.sealed, found.intact, found.ours, found.serial, found.sealed_at) == (True, True, True, "2026-000317", NOW)
    assert found.subject == f"{OFFICE}（自制演示证书）"


def test_the_certificate_that_an_office_makes_itself_says_so_and_its_key_is_for_the_office_alone(home: Path) -> None:
    seal = seals.configured(load(home))
    assert seal is not None and seal.self_made and "自制" in seal.words and "不等同于电子公章" in seal.words
    assert stat.S_IMODE((home / "secrets" / "seal_key").stat().st_mode) == 0o600
    certificate = x509.load_pem_x509_certificate((home / "seal.pem").read_bytes())
    key = certificate.public_key()
    assert isinstance(key, ec.EllipticCurvePublicKey) and key.curve.name == "secp256r1"
    with pytest.raises(SealThere, match=r"seal\.pem"):
        seals.make_certificate(home, OFFICE, now=AT)


def test_poppler_finds_the_same(home: Path, sealed: bytes, tmp_path: Path) -> None:
    altered = bytearray(sealed)
    altered[2000] ^= 1
    for content, verdict in ((sealed, "Signature is Valid."), (bytes(altered), "Digest Mismatch.")):
        (tmp_path / "signed.pdf").write_bytes(content)
        reader = shutil.which("pdfsig")
        said = subprocess.run([reader, str(tmp_path / "signed.pdf")], capture_output=True, text=True, check=False).stdout if reader else ""
        assert reader is None or (verdict in said and "ETSI.CAdES.detached" in said and "Total document signed" in said), said
        assert seals.look(content, settings=load(home)).intact is (content is sealed)


@examples(max_examples=60, deadline=None)
@given(anywhere=st.floats(0, 1, exclude_max=True), value=st.integers(1, 255))
def test_no_byte_can_be_changed_added_or_taken_away_unseen(home: Path, sealed: bytes, anywhere: float, value: int) -> None:
    place = int(anywhere * len(sealed))
    changed = {
        "changed": sealed[:place] + bytes([sealed[place] ^ value]) + sealed[place + 1 :],
        "added": sealed[:place] + bytes([value]) + sealed[place:],
        "taken": sealed[:place] + sealed[place + 1 :],
        "cut": sealed[:place],
    }
    for content in changed.values():
        found = seals.look(content, settings=load(home))
        assert not (found.intact and found.ours)


def test_every_byte_of_the_one_place_that_a_seal_cannot_cover_is_looked_at(home: Path, sealed: bytes) -> None:
    start = sealed.index(b"/Contents <30") + 10
    end = sealed.index(b">", start)
    for place in [*range(start, start + 40), *range(end - 600, end + 1, 37), end]:
        changed = sealed[:place] + (b"1" if sealed[place : place + 1] == b"0" else b"0") + sealed[place + 1 :]
        assert not seals.look(changed, settings=load(home)).intact, place
    assert not seals.look(sealed[:start] + sealed[start:end].lower() + sealed[end:], settings=load(home)).intact


def test_what_is_added_behind_the_seal_is_found(home: Path, sealed: bytes) -> None:
    writer = IncrementalPdfFileWriter(BytesIO(sealed))
    writer.root["/Lang"] = writer.root["/Lang"]
    writer.update_root()
    out = BytesIO()
    writer.write(out)
    assert not seals.look(out.getvalue(), settings=load(home)).intact
    assert not seals.look(sealed + b"\n", settings=load(home)).intact


def test_a_seal_of_somebody_else_is_not_ours_and_one_of_our_former_certificate_is(home: Path, plain: bytes, sealed: bytes, tmp_path: Path) -> None:
    seals.make_certificate(tmp_path, OFFICE, now=AT)
    foreign = seals.look(sealed_by(tmp_path, plain), settings=load(home))
    assert (foreign.intact, foreign.ours) == (True, False)
    renewed = (tmp_path / "seal.pem").read_bytes() + (home / "seal.pem").read_bytes()
    (tmp_path / "seal.pem").write_bytes(renewed)
    assert seals.look(sealed, settings=load(tmp_path)).ours
    assert seals.look(sealed_by(tmp_path, plain), settings=load(tmp_path)).ours


@pytest.mark.parametrize("content", [b"", b"%PDF-1.7", b"PK\x03\x04", b"%PDF-1.7\n" + b"[" * 10_000, b"\x00" * 100])
def test_what_is_no_paper_of_ours_bears_no_seal(home: Path, content: bytes) -> None:
    found = seals.look(content, settings=load(home))
    assert (found.sealed, found.intact, found.ours, found.serial) == (False, False, False, None)


def test_a_plain_paper_says_which_signature_it_claims_to_be_of_even_where_it_is_broken(home: Path, plain: bytes) -> None:
    assert seals.look(plain, settings=load(home)).serial == "2026-000317"
    assert seals.look(plain[: plain.index(b"startxref")], settings=load(home)).serial == "2026-000317"


def pem(key: Any, password: bytes | None = None) -> str:
    how = serialization.BestAvailableEncryption(password) if password else serialization.NoEncryption()
    return str(key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, how).decode())


def issued(key: Any, *, years: int = 1) -> bytes:
    """A certificate that an authority made for the office."""
    authority = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, OFFICE)])
    issuer = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "示例认证机构")])
    builder = x509.CertificateBuilder().subject_name(name).issuer_name(issuer).public_key(key.public_key()).serial_number(7)
    return (builder.not_valid_before(NOW - timedelta(days=1)).not_valid_after(NOW + timedelta(days=365 * years)).sign(authority, hashes.SHA256())).public_bytes(
        serialization.Encoding.PEM
    )


@pytest.mark.parametrize("make", [lambda: ec.generate_private_key(ec.SECP256R1()), lambda: rsa.generate_private_key(65537, 2048)], ids=["ecdsa", "rsa"])
def test_a_certificate_of_an_authority_seals_and_the_paper_names_its_holder(tmp_path: Path, plain: bytes, make: Callable[[], Any]) -> None:
    key = make()
    (tmp_path / "office.pem").write_bytes(issued(key))
    options = {"seal_certificate": "office.pem", "seal_key": pem(key, b"a long pass phrase"), "seal_key_password": "a long pass phrase"}
    content = sealed_by(tmp_path, plain, **options)
    found = seals.look(content, settings=load(tmp_path, **options))
    assert (found.intact, found.ours, found.subject) == (True, True, OFFICE)
    seal = seals.configured(load(tmp_path, **options))
    assert seal is not None and not seal.self_made and seal.words == f"本文件加盖电子签章，证书持有人：{OFFICE}。"


def test_a_seal_that_is_not_set_up_whole_is_named_and_without_any_nothing_is_sealed(home: Path, tmp_path: Path) -> None:
    assert seals.configured(load(tmp_path)) is None
    key = ec.generate_private_key(ec.SECP256R1())
    with pytest.raises(SealIncomplete, match=r"has seal_key and no seal\.pem"):
        seals.configured(load(tmp_path, seal_key=pem(key)))
    (tmp_path / "seal.pem").write_bytes(issued(key))
    with pytest.raises(SealIncomplete, match=r"has seal\.pem and no seal_key"):
        seals.configured(load(tmp_path))
    with pytest.raises(SealMismatch):
        seals.configured(load(tmp_path, seal_key=pem(ec.generate_private_key(ec.SECP256R1()))))
    for options in ({"seal_key": "no key"}, {"seal_key": pem(key, b"right"), "seal_key_password": "wrong"}, {"seal_key": pem(key, b"right")}):
        with pytest.raises(SealUnreadable, match="seal_key"):
            seals.configured(load(tmp_path, **options))
    (tmp_path / "seal.pem").write_bytes(b"no certificate")
    with pytest.raises(SealUnreadable, match=r"seal\.pem"):
        seals.configured(load(tmp_path, seal_key=pem(key)))


def test_a_certificate_that_is_over_seals_nothing(home: Path, plain: bytes) -> None:
    seal = seals.configured(load(home))
    assert seal is not None
    for moment in (seal.until + timedelta(seconds=1), AT - timedelta(days=2)):
        with pytest.raises(SealExpired, match="2029-01-14"):
            seals.put_on(plain, seal, now=moment)


@pytest.fixture
def authority() -> Iterator[tuple[str, list[bytes]]]:
    """A time-stamping authority on the loopback whose clock is an hour ahead; and what it was asked."""
    key = rsa.generate_private_key(65537, 2048)
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "示例时间戳")])
    builder = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key()).serial_number(9)
    purpose = x509.ExtendedKeyUsage([x509.ExtendedKeyUsageOID.TIME_STAMPING])
    own = builder.not_valid_before(NOW - timedelta(days=1)).not_valid_after(NOW + timedelta(days=9)).add_extension(purpose, critical=True)
    certificate = asn1_x509.Certificate.load(own.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.DER))
    plain_key = key.private_bytes(serialization.Encoding.DER, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    stamper = DummyTimeStamper(certificate, keys.PrivateKeyInfo.load(plain_key), fixed_dt=NOW + timedelta(hours=1))
    asked: list[bytes] = []

    class Answer(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            asked.append(self.rfile.read(int(self.headers["Content-Length"])))
            body = stamper.request_tsa_response(tsp.TimeStampReq.load(asked[-1])).dump()
            self.send_response(200)
            self.send_header("Content-Type", "application/timestamp-reply")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Answer)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/tsa", asked
    server.shutdown()
    thread.join()
    server.server_close()


def test_a_time_stamp_is_asked_of_the_authority_that_the_office_names_and_of_nobody_else(
    home: Path, plain: bytes, sealed: bytes, authority: tuple[str, list[bytes]]
) -> None:
    url, asked = authority
    stamped = sealed_by(home, plain, seal_timestamp_url=url)
    assert asked and "示例时间戳".encode().hex().upper().encode() in stamped
    assert "示例时间戳".encode().hex().upper().encode() not in sealed
    assert seals.look(stamped, settings=load(home)).intact
    with pytest.raises(TimestampOutside, match=r"tsa\.example"):
        seals.configured(load(home, seal_timestamp_url="http://tsa.example/"))


def test_where_the_authority_does_not_answer_nothing_is_sealed_rather_than_dated_by_our_own_clock(home: Path, plain: bytes) -> None:
    with pytest.raises(TimestampMissing, match=r"127\.0\.0\.1:9/"):
        sealed_by(home, plain, seal_timestamp_url="http://127.0.0.1:9/")
