"""Scripts that upstream's interpreter runs in a GR00T-Dreams checkout. They import upstream and nothing of leicos."""
