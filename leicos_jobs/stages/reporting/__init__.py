"""Pictures and pages of the report."""
