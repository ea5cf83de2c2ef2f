"""Letters: printed in batches by town, posted, returned, and printed again."""
