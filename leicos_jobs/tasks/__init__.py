"""Tasks as data: the scene on the table, the rule that says whether it is done, and how a scripted person does it."""
