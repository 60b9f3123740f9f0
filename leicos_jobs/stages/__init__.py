"""One module a stage, in pipeline order: record, start, convert, cosmos_dataset, post_train, train_idm, plan, rounds
(plan-round, account, fan-in), generate, gate, label, replay, controls, curate, assemble, report.

generate, gate, label and replay share one loop (`worker`): the commit rule is written once, so fault tests cover all.
"""
