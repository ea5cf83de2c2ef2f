"""One official account at WeChat, its followers' phones, and what they type.

    doors      which address is which call, whose token it bears, and how an answer is spoilt
    codes      the provider's error codes and its words for them
    scenario   what it is told to do: token life, quotas, reviews, encrypted mode
    world      what every part of it shares: the account, the clock, message ids, the ledger
    tokens     access tokens, classic and stable
    quotas     calls a day and a minute, reset at midnight in Shanghai
    people     who follows, who spoke last, who agreed to notices
    fields     the data of a template message, held against the provider's field types
    sending    what the messages to one person share: recipient, fault, answer, event
    templates  the template message, its ten minutes and its review
    notices    the subscription notice and the customer-service message
    masses     mass messages with their totals
    queries    followers, one person, tags, QR codes with a scene
    oauth      a phone's WeChat says whose it is
    acts       what a person does: follow, scan, type, leave
    events     posts to the office: three tries, five seconds each, plain or encrypted
    envelopes  XML and the encryption of callbacks

Written from the provider's public pages (developers.weixin.qq.com/doc/service), never held against the provider itself. They do not say
what a copy under one client_msg_id is answered, whether 40252 bears a msgid, and which MsgID the event has then: `scenario` offers each
way. Assumed: 45009 and 45011 for a forced refresh too many or too soon; any status but 200 counts as no answer to a callback; its
further tries follow after 0.2 and 0.4 seconds; a copy of a message under review is answered 40252 again.
"""
