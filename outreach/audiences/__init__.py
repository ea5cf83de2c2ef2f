"""Who is written to (发送范围): an expression that selects enterprises and contacts; a saved one is a segment."""
