"""Twilio as a client meets it: the Messages resource of API 2010-04-01, status callbacks and inbound texts.

    doors      which request is answered how
    asked      what a create request asks for, or why it is refused
    messages   the messages accepted, as list and fetch show them
    listing    a page of them
    receipts   what is told to the sender afterwards
    segments   how long a text is

Sources: Twilio's published OpenAPI (twilio-oai, twilio_api_v2010), its error pages (https://www.twilio.com/docs/api/errors),
its pages on status callbacks and connection overrides, and its Python SDK.
"""
