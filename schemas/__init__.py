"""The contract between processes: events, topics, tables, identifiers. No I/O."""
