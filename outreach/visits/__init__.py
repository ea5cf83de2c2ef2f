"""Visits (走访): who goes to see which enterprise, with what in hand, and what each visit brought."""
