"""Set the letters of print batches, a chunk at a time: what a worker does when it is rung for, and `letters render` where none lives."""

from datetime import timedelta

from outreach import clock
from outreach.database.engine import Database
from outreach.letters import printing
from outreach.letters.printing import Chunk, Printed
from outreach.settings import Settings

LASTS = 4
"""How many times as long as the longest chunk took a lease lasts at least: on a slow machine it must not run out each time."""


class Press:
    """One process that sets letters: it takes a chunk in one transaction, sets it in none, and records it in another."""

    def __init__(self, database: Database, settings: Settings) -> None:
        self._database, self._settings = database, settings
        self._longest = timedelta(0)

    def set_next(self) -> bool:
        """Set one chunk; return whether there was one. Raises what is wrong with its text or layout; its lease then runs out by itself."""
        with self._database.read() as session:
            if not printing.waits(session, settings=self._settings):
                return False
        begun = clock.now()
        with self._database.write() as session:
            printing.finish(session, settings=self._settings)
            chunk = printing.claim(session, settings=self._settings, lease=max(self._settings.lease, LASTS * self._longest), now=begun)
        if chunk is None:
            return False
        printed = self._set(chunk)
        self._longest = max(self._longest, clock.now() - begun)
        with self._database.write() as session:
            printing.record(session, chunk, printed, settings=self._settings, now=clock.now())
        with self._database.write() as session:
            printing.finish(session, settings=self._settings)
        return True

    def _set(self, chunk: Chunk) -> Printed:
        """Set a chunk; whoever is told to stop meanwhile lets go of it at once."""
        try:
            return printing.set_letters(chunk, settings=self._settings)
        except KeyboardInterrupt:
            with self._database.write() as session:
                printing.release(session, chunk)
            raise
