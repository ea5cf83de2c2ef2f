"""How fast a list comes in: rows a second for the first import and for the same list again, beside one ORM object a row.

    python benchmarks/import_contacts.py [--rows 100000] [--postgresql URL]

The list is CSV with twelve columns. The baseline merges its first rows one by one: look the enterprise up, then the contact, in one
transaction (a commit a row would be slower still). Only the ratio counts: machines are noisy. The PostgreSQL database must be empty.
"""

import argparse
import csv
import resource
import tempfile
import time
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path

import people
from sqlalchemy import select

from outreach import settings
from outreach.contacts.importing import import_file
from outreach.database import upgrading
from outreach.database.engine import Database
from outreach.database.tables import Contact, Enterprise

BASELINE = 2000


def write_list(path: Path, rows: int) -> None:
    """Write a list of so many enterprises."""
    with path.open("w", encoding="utf-8-sig", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(people.HEADINGS)
        writer.writerows(people.enterprises(rows))


def imported(database: Database, path: Path, rows: int) -> float:
    """Import a list and return rows a second."""
    started = time.perf_counter()
    result = import_file(database, path, folders=[settings.shipped("contacts") / "mappings"], now=datetime.now(UTC))
    assert (result.read, result.rejected) == (rows, 0), result
    return rows / (time.perf_counter() - started)


def merged_one_by_one(database: Database, rows: int) -> float:
    """Merge rows as most programs do, an object each, and return rows a second."""
    now = datetime.now(UTC)
    started = time.perf_counter()
    with database.write() as session:
        for row in islice(people.enterprises(rows, seed=1), rows):
            code = "B" + row.credit_code[1:]
            enterprise = session.scalar(select(Enterprise).where(Enterprise.credit_code == code))
            if enterprise is None:
                enterprise = Enterprise(credit_code=code, name=row.name, town=row.town, created_at=now, updated_at=now)
                session.add(enterprise)
            enterprise.village, enterprise.industry, enterprise.address = row.village, row.industry, row.address
            enterprise.above_scale = row.above_scale == "是"
            session.flush()
            known = select(Contact).where(Contact.enterprise_id == enterprise.id, Contact.phone == "+86" + row.phone)
            if session.scalar(known) is None:
                session.add(Contact(enterprise_id=enterprise.id, name=row.contact, phone="+86" + row.phone, created_at=now, updated_at=now))
    return rows / (time.perf_counter() - started)


def peak() -> float:
    """Return the most memory that this process ever held, in MB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def main() -> None:
    """Measure and print."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--rows", type=int, default=100_000)
    options.add_argument("--postgresql", metavar="URL")
    chosen = options.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "list.csv"
        write_list(path, chosen.rows)
        before = peak()
        print(f"{chosen.rows:,} rows, {path.stat().st_size / 1e6:.1f} MB; memory before {before:.0f} MB")
        for url in filter(None, (f"sqlite:///{folder}/outreach.db", chosen.postgresql)):
            database = Database(url)
            upgrading.upgrade(database)
            baseline = merged_one_by_one(database, BASELINE)
            first, again = imported(database, path, chosen.rows), imported(database, path, chosen.rows)
            print(f"{database.engine.dialect.name}: first {first:,.0f} rows/s ({first / baseline:.1f} x one by one), again {again:,.0f} rows/s", end="; ")
            print(f"one by one {baseline:,.0f} rows/s; peak memory {peak():.0f} MB")
            database.close()


if __name__ == "__main__":
    main()
