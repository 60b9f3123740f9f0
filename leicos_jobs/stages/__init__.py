"""One module for each command of the pipeline, named as the command."""
