"""Local stand-ins of the source systems, and the generator of the data they serve."""
