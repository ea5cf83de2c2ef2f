"""What is said, put into words: message templates, the length of a text on the air, and what may not be sent.

    checks
    templates
    language
    frontmatter
    fields  filters  characters  segments

Printed documents (Typst) and QR codes stand beside these when letters and pledges need them.
"""
