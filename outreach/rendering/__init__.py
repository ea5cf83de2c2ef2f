"""What is said, put into words: message templates, texts with markup, printed documents, the length of a text on the air.

checks
markup     documents
templates  fonts  qr
language
frontmatter
fields  filters  characters  segments
"""
