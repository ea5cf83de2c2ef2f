"""The office's electronic seal on the PDF of a signed pledge: put on, and looked at again (PAdES B-B, ETSI EN 319 142-1).

The seal shows that the file comes from the holder of the certificate and was not changed since. It is no 公章, and no signature of
the signer's. An office that has no certificate hands out plain PDFs, which are known by their digests.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from io import BytesIO
from pathlib import Path
from typing import Any

from asn1crypto import cms, keys
from asn1crypto import x509 as asn1_x509
from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from pyhanko.pdf_utils.incremental_writer import IncrementalPdfFileWriter
from pyhanko.pdf_utils.misc import PdfError
from pyhanko.pdf_utils.reader import PdfFileReader
from pyhanko.sign import fields, signers
from pyhanko.sign.general import UnacceptableSignerError
from pyhanko.sign.signers.pdf_signer import PdfSigningSession
from pyhanko.sign.timestamps import HTTPTimeStamper
from pyhanko.sign.validation.errors import SignatureValidationError, ValidationInfoReadingError
from pyhanko.sign.validation.generic_cms import validate_sig_integrity
from pyhanko.sign.validation.status import SignatureCoverageLevel
from pyhanko_certvalidator.registry import SimpleCertificateStore

from outreach import tokens
from outreach.channels import timestamps
from outreach.errors import Misconfigured, Refused
from outreach.settings import Settings

CERTIFICATE, KEY = "seal.pem", "secrets/seal_key"
SELF_MADE_YEARS = 3
FIELD = "OfficeSeal"
LARGEST = 20_000_000
"""Bytes of a file that is looked at."""
_UNREADABLE = (
    *(PdfError, SignatureValidationError, ValidationInfoReadingError, UnacceptableSignerError),
    *(ValueError, TypeError, LookupError, AttributeError, ArithmeticError, RecursionError, NotImplementedError, AssertionError, UnsupportedAlgorithm),
)
"""What reading a hostile PDF can end in; each means that no seal can be made out."""


class SealIncomplete(Misconfigured):
    """The seal has {present} and no {absent}: it needs a certificate (seal_certificate) and its key (secrets/seal_key)."""


class SealUnreadable(Misconfigured):
    """The {part} of the seal cannot be read: {file} must be PEM, and seal_key_password right."""


class SealMismatch(Misconfigured):
    """The key of the seal does not belong to the certificate in {file}."""


class SealExpired(Misconfigured):
    """The certificate of the seal holds from {since} until {until}: put a new one in its place, and leave the old one beneath it in the file."""


class SealThere(Refused):
    """There is a seal already in {file}; take it away first if another is to be made."""


@dataclass(frozen=True, eq=False)
class Seal:
    """A certificate and its key, ready to seal; `self_made` where nobody but the office vouches for it."""

    signer: signers.SimpleSigner
    subject: str
    self_made: bool
    fingerprint: str
    since: datetime
    until: datetime
    stamper: HTTPTimeStamper | None

    @property
    def words(self) -> str:
        """What a sealed paper says of its seal."""
        if self.self_made:
            return "本文件加盖电子签章，证书为自制（演示或内部使用），阅读器会提示“身份未验证”；不等同于电子公章。"
        return f"本文件加盖电子签章，证书持有人：{self.subject}。"


NONE = "本文件未加盖电子签章，请以核验页为准。"
"""What a paper says that is not sealed."""


def configured(settings: Settings) -> Seal | None:
    """Return the office's seal, or nothing where it has none. Raises SealIncomplete, SealUnreadable and SealMismatch."""
    file = settings.home / settings.seal_certificate
    there = file.is_file()
    key = settings.seal_key or _key_of_now(settings)
    if not there and not key:
        return None
    if not there:
        raise SealIncomplete(key="seal_certificate", present="seal_key", absent=f"{settings.seal_certificate} ({settings.home})")
    if not key:
        raise SealIncomplete(key="seal_key", present=settings.seal_certificate, absent="seal_key")
    return _seal(file, key, settings.seal_key_password, timestamps.stamper(settings))


def _key_of_now(settings: Settings) -> str:
    """Return the key that was made since this process read its settings, so that nobody must restart the web for it."""
    file = settings.home / "secrets" / "seal_key"
    try:
        return file.read_text("ascii").strip() if file.is_file() else ""
    except (OSError, UnicodeDecodeError) as error:
        raise SealUnreadable(key="seal_key", part="seal_key", file=file) from error


def _seal(file: Path, key_text: str, password: str, stamper: HTTPTimeStamper | None) -> Seal:
    own, *chain = _certificates(file)
    try:
        key = serialization.load_pem_private_key(key_text.encode() + b"\n", password.encode() or None)
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise SealUnreadable(key="seal_key", part="seal_key", file="secrets/seal_key") from error
    public = (serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    if key.public_key().public_bytes(*public) != own.public_key().public_bytes(*public):
        raise SealMismatch(key="seal_key", file=file)
    plain = key.private_bytes(serialization.Encoding.DER, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    others = SimpleCertificateStore()  # type: ignore[no-untyped-call]
    others.register_multiple([_asn1(certificate) for certificate in chain])
    signer = signers.SimpleSigner(signing_cert=_asn1(own), signing_key=keys.PrivateKeyInfo.load(plain), cert_registry=others)
    return Seal(signer, _subject(own), own.issuer == own.subject, _fingerprint(own), own.not_valid_before_utc, own.not_valid_after_utc, stamper)


@dataclass(frozen=True, slots=True)
class Described:
    """Who a certificate names, and until when it holds."""

    subject: str
    until: datetime


def described(file: Path) -> Described:
    """Say whom the first certificate of a file names. Raises SealUnreadable."""
    own = _certificates(file)[0]
    return Described(_subject(own), own.not_valid_after_utc)


def put_on(content: bytes, seal: Seal, *, now: datetime) -> bytes:
    """Return a PDF with the seal on it, invisible on paper, which forbids every later change. Raises TimestampMissing.

    Raises SealExpired. Not inside an event loop: pyHanko runs its own.
    """
    if not seal.since <= now <= seal.until:
        raise SealExpired(key="seal_certificate", since=f"{seal.since:%Y-%m-%d}", until=f"{seal.until:%Y-%m-%d}")
    about = signers.PdfSignatureMetadata(
        field_name=FIELD,
        name=seal.subject,
        reason="平台存证",
        subfilter=fields.SigSeedSubFilter.PADES,
        md_algorithm="sha256",
        certify=True,
        docmdp_permissions=fields.MDPPerm.NO_CHANGES,
    )
    out = BytesIO()
    with timestamps.asked(seal.stamper.url if seal.stamper else ""):
        _Dated(about, seal.signer, seal.stamper, now).sign_pdf(IncrementalPdfFileWriter(BytesIO(content)), output=out)
    return out.getvalue()


class _Dated(signers.PdfSigner):
    """A signer of PDFs whose clock is ours."""

    def __init__(self, about: signers.PdfSignatureMetadata, signer: signers.Signer, stamper: HTTPTimeStamper | None, moment: datetime) -> None:
        super().__init__(about, signer, timestamper=stamper)
        self.moment = moment

    def init_signing_session(self, *args: Any, **kwargs: Any) -> PdfSigningSession:
        session = super().init_signing_session(*args, **kwargs)
        session.system_time = self.moment
        return session


@dataclass(frozen=True, slots=True)
class Found:
    """What a file says about its seal. `serial` is worth as much as the seal: read it where `ours` and `intact` hold."""

    sealed: bool
    intact: bool = False
    ours: bool = False
    subject: str = ""
    sealed_at: datetime | None = None
    serial: str | None = None


def look(content: bytes, *, settings: Settings) -> Found:
    """Look for a seal on a file that anybody may have made; never fails.

    `intact`: nothing changed since the seal was put on. `ours`: the certificate is one of those in `seal_certificate`; an office that
    renews its certificate leaves the former beneath it. Who vouches for the certificate is not asked: that is for the reader's trust
    list, and says nothing of the file.
    """
    try:
        return _look(content, _ours(settings))
    except _UNREADABLE:
        return Found(sealed=False, serial=_claimed(content))


def _look(content: bytes, ours: frozenset[str]) -> Found:
    if len(content) > LARGEST or not content.startswith(b"%PDF-"):
        return Found(sealed=False)
    reader = PdfFileReader(BytesIO(content))
    signatures = reader.embedded_regular_signatures
    serial = _serial(reader)
    if len(signatures) != 1:
        return Found(sealed=bool(signatures), serial=serial)
    signature = signatures[0]
    unchanged, holds = validate_sig_integrity(signature.signer_info, signature.signer_cert, "data", signature.compute_digest())
    whole = signature.evaluate_signature_coverage() == SignatureCoverageLevel.ENTIRE_FILE and _gap_is_plain(content, signature)
    signed_by = x509.load_der_x509_certificate(signature.signer_cert.dump())
    return Found(
        sealed=True,
        intact=unchanged and holds and whole,
        ours=_fingerprint(signed_by) in ours,
        subject=_subject(signed_by),
        sealed_at=signature.self_reported_timestamp,
        serial=serial,
    )


def _gap_is_plain(content: bytes, signature: Any) -> bool:
    """Whether the one place that a seal cannot cover, its own, holds the seal, as we write it, and zeros only."""
    _start, before, after, _length = signature.byte_range
    gap = content[before:after]
    held = cms.ContentInfo.load(bytes.fromhex(gap[1:-1].decode("ascii")), strict=False).dump()
    return bool(gap == b"<" + held.hex().upper().encode().ljust(len(gap) - 2, b"0") + b">")


def _serial(reader: PdfFileReader) -> str | None:
    title = re.search(r"\d{4}-\d{6,}$", str(reader.trailer["/Info"]["/Title"]))
    return title[0] if title else None


def _claimed(content: bytes) -> str | None:
    """Return the serial that a file which cannot be read names in plain sight, to say which paper it wants to be."""
    found = re.search(rb"<dc:title>.{0,400}?(\d{4}-\d{6,})<", content)
    return found[1].decode() if found else None


def _ours(settings: Settings) -> frozenset[str]:
    file = settings.home / settings.seal_certificate
    return frozenset(_fingerprint(certificate) for certificate in _certificates(file)) if file.is_file() else frozenset()


def make_certificate(folder: Path, office_name: str, *, now: datetime) -> Path:
    """Make a certificate that nobody but the office vouches for, and its key, below `folder`; return the certificate's file.

    For a demonstration, or to learn of changes to files within the office: its name says so, and readers call it unknown.
    Raises SealThere.
    """
    file, key_file = folder / CERTIFICATE, folder / KEY
    for there in (file, key_file):
        if there.exists():
            raise SealThere(what="seal", file=there)
    key = ec.generate_private_key(ec.SECP256R1())
    certificate = _self_made(key, office_name, now)
    key_file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    key_file.touch(mode=0o600)
    key_file.write_bytes(key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()))
    file.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    return file


def _self_made(key: ec.EllipticCurvePrivateKey, office_name: str, now: datetime) -> x509.Certificate:
    attributes = {NameOID.COUNTRY_NAME: "CN", NameOID.ORGANIZATION_NAME: office_name[:64], NameOID.COMMON_NAME: f"{office_name[:50]}（自制演示证书）"}
    name = x509.Name([x509.NameAttribute(kind, value) for kind, value in attributes.items()])
    may = dict.fromkeys(("key_encipherment", "data_encipherment", "key_agreement", "crl_sign", "encipher_only", "decipher_only", "key_cert_sign"), False)
    return (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(int(tokens.serial(), 16))
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=365 * SELF_MADE_YEARS))
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(x509.KeyUsage(digital_signature=True, content_commitment=True, **may), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .sign(key, hashes.SHA256())
    )


def _certificates(file: Path) -> Sequence[x509.Certificate]:
    try:
        return x509.load_pem_x509_certificates(file.read_bytes())
    except (OSError, ValueError) as error:
        raise SealUnreadable(key="seal_certificate", part="certificate", file=file) from error


def _asn1(certificate: x509.Certificate) -> asn1_x509.Certificate:
    return asn1_x509.Certificate.load(certificate.public_bytes(serialization.Encoding.DER))


def _subject(certificate: x509.Certificate) -> str:
    named = certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME) or certificate.subject.get_attributes_for_oid(NameOID.ORGANIZATION_NAME)
    return str(named[0].value) if named else certificate.subject.rfc4514_string()


def _fingerprint(certificate: x509.Certificate) -> str:
    return certificate.fingerprint(hashes.SHA256()).hex()
