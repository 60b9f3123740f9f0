"""Stands in for cosmos-predict2.5 where it hurts (docs/decisions/cosmos.md 1.3, 1.4). None of it is upstream's text."""
