"""What every layer may use: errors and exit codes, digests, signals, logs. A closed list that knows no robots."""
