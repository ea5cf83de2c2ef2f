"""outreach: the campaign manager of a labour office's "no wage arrears" drive.

The house, as a ladder. A module imports only from lines beneath its own, and things on one line do not know each other;
`tests/test_architecture.py` reads the ladder from here and holds every import against it.

    cli
    web
    worker     sandbox
    reports
    campaigns
    audiences  pledges  events  letters  visits
    links
    outbox
    contacts   staff
    channels
    rendering
    database
    i18n
    settings   clock    tokens
    reasons
    errors

`sandbox` is an outside world that we happen to ship: of the product it imports nothing but `settings` and what lies beneath that.
"""

__version__ = "0.1.0"
