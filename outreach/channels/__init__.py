"""The ways to reach a person. All that is known of one provider stands in its one file; `base` is the contract."""
