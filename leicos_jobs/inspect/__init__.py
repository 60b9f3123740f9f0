"""What a recording, dataset or run holds, with every problem in it, and the configuration that fits it."""
