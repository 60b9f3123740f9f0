"""Stands in for cosmos-predict2.5 where it hurts (reference/cosmos.md 1.4, 1.5). Nothing of it is upstream's text."""
