"""Extract records from sources and land them in the raw schemas, exactly once."""
