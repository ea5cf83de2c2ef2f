"""Enterprises and their contacts: reading the lists that departments send, keeping them, finding them again."""
