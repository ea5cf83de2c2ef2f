"""What is said, put into words: message templates, texts with markup, printed documents, the length of a text on the air.

checks
wechat_checks  gateway_checks
problems
markup     documents
templates  fonts  qr
language
frontmatter
fields  filters  wechat_values
characters  segments
"""
