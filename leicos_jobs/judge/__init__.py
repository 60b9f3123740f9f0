"""How good labels and videos are: the gate's checks, the run's checks, scores against truth, plots and the page."""
