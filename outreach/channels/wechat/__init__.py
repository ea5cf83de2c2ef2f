"""The office's WeChat account: messages to those who are bound to it, what they send back, and all else that is asked of the account.

`codes` is what the provider's answers mean, `tokens` the access token that every call needs, `client` the SDK where it is mended,
`sending` the channel, `hooks` the way in, `calls` what is asked of the account apart from messages.
"""
