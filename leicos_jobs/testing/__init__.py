"""Contract tests that ship with leicos: outsiders' stores and backends inherit them (needs pytest)."""
