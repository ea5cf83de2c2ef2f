"""The pledge: its texts in versions, signing, evidence, paper."""
