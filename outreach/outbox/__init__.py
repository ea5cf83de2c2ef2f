"""The outbox: sends any delivery that is due, whoever wrote it, and says what became of it. The database is the queue.

queued ──claim──> sending ──Accepted──> accepted ──receipt──> delivered | undelivered     (no receipt within the patience: silent)
   │                 ├──Rejected──────> failed
   │                 ├──Review────────> review ──verdict──> accepted | failed
   │                 ├──Deferred──────> queued (not before)
   │                 └──Uncertain / crash / lease over──> unknown ──settle──> accepted | queued | failed
   └──> skipped
"""
