"""Campaigns: a file is planned, approved, launched, and its statement adds up."""
