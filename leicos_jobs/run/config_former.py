"""Fields of the configuration that former versions had: an older run's are passed over, a new file's refused."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

FORMER: dict[str, dict[str, int]] = {
    "plan": {"samples_per_shard": 16, "min_shards": 4, "max_shards": 300},
    "replay": {"samples_per_shard": 500},
    "rounds": {"shard_seconds": 3 * 3600},
}
"""By section, with what they were where nobody set them: a report's key is what it was with those."""
INSTEAD = {"plan": "plan.workers", "replay": "replay.workers", "rounds": "rounds.worker_seconds"}


def former(config: Any) -> Iterator[tuple[str, str]]:
    """Section and name of each former field in a configuration's values."""
    for section, fields in FORMER.items():
        values = config.get(section) if isinstance(config, Mapping) else None
        if isinstance(values, Mapping):
            yield from ((section, name) for name in fields if name in values)


def without_former(config: Any) -> Any:
    """A configuration's values without former fields."""
    if not (passed := {section for section, _ in former(config)}):
        return config
    kept = {
        section: {name: value for name, value in config[section].items() if name not in FORMER[section]}
        for section in passed
    }
    return {**config, **kept}
