"""`leicos view`: a run's samples in a browser on this machine, or as a Rerun recording. It only reads."""
