"""A gateway on loopback that speaks the providers' real protocols, for rehearsals, tests and benchmarks: nobody is ever texted.

It is an outside world that we happen to ship. It keeps a ledger of every message it accepted, so that anyone can see what was
really sent and how often, and it can be told to misbehave in each of the ways in which a real gateway does.

    server     puts the gateway together and runs it
    control    its own doors: ledger, faults, reply, reset, health
    twilio/    Twilio's Messages resource, status callbacks and inbound texts
    wechat/    one official account at WeChat, its followers and what they do
    aliyun/    texts by a gateway at home: batches, its list, its pushes
    faults     who meets which fault, the same for any order of arrival
    callbacks  webhooks out, with the retries that the callback's address asks for
    lines      keep-alive connections for the webhooks
    ledger     the file of accepted messages
    wire       HTTP/1.1 in
    forms      application/x-www-form-urlencoded
"""
