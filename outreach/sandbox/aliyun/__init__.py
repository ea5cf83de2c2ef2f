"""Alibaba Cloud's Short Message Service (阿里云短信服务) as a client meets it: API dysmsapi 2017-05-25, and its pushes to the office.

    doors      which request is answered how
    signing    whether a request bears the account's signature
    asked      what a request to send asks for, or why it is refused
    messages   the messages accepted, as QuerySendDetails shows them
    pushes     what is told to the office afterwards: receipts (SmsReport) and people's replies (SmsUp)

Sources: help.aliyun.com/zh/sms (SendSms, SendBatchSms, QuerySendDetails, SmsReport, SmsUp, error codes), the page on the request body and
signature of version 3 (help.aliyun.com/zh/sdk/product-overview/v3-request-structure-and-signature), and what the Python SDK 4.6.0 sends.
"""
