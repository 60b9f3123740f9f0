"""What runs inside Isaac's Python: put on its path as a folder, so that it needs nothing of leicos there."""
