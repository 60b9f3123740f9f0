"""What a configuration alone can say about whether it will work: known backends, their settings, what fits together."""

from __future__ import annotations

from leicos_jobs.backends import registry
from leicos_jobs.core.errors import InputError
from leicos_jobs.run import identity
from leicos_jobs.run.capacity import require_capacity
from leicos_jobs.run.config import RunConfig


def check_backends(config: RunConfig) -> None:
    """Load every configured backend, check its settings and, where it can tell, that it can make such videos; and that
    the rounds can hold the plan.

    Raises InputError.
    """
    require_capacity(config)
    identity.sample_rules(config, None)
    backend = registry.load("generate", config.generate.backend)
    settings = registry.settings("generate", config.generate.backend, config.generate.settings)
    backend.check_run(settings, config.generate.frames, config.generate.width, config.generate.height)
    identity.backend_identity("train", config.idm.backend, config.idm.settings)
    replayer = registry.load("replay", config.replay.backend)
    rules = registry.settings("replay", config.replay.backend, config.replay.settings)
    if config.curate.require_success and not replayer.judges(rules):
        raise InputError(
            f"curate.require_success: replay backend {config.replay.backend!r} with these settings knows no success",
            fix="set curate.require_success: false, or a replay that knows the task's rule",
        )
    if (critic := config.gate.critic) is not None:
        known = registry.load("critic", critic.backend).scores
        if unknown := sorted(critic.min_scores.keys() - set(known)):
            text = f"gate.critic.min_scores: critic {critic.backend!r} has no score {', '.join(unknown)}"
            raise InputError(text, fix=f"it has {', '.join(known)}")
