"""The personal ways in: the link and the code of a recipient, made, resolved, bounded and revoked."""
