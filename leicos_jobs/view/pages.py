"""The viewer's pages as HTML: what they show comes from the run, and every text of it is escaped."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any
from urllib.parse import urlencode

from leicos_jobs.core import stages
from leicos_jobs.core.errors import InputError
from leicos_jobs.judge.words import chosen
from leicos_jobs.run.opened import Run
from leicos_jobs.run.results import Results
from leicos_jobs.view.curves import HEIGHT, WIDTH, panels
from leicos_jobs.view.index import PAGE, SORTS, Index, Query
from leicos_jobs.view.lineage import lineage
from leicos_jobs.view.newest import newest

SHOWN = {"plan": "", "sample": "sample", "demo": "demo", "row0": "row0", "seed": "seed", "split": "split",
         "outcome": "outcome", "tracking": "tracking, degrees"}  # fmt: skip
"""Columns of the table that can be sorted, with their heads."""


class Pages:
    """Renders. Raises InputError if the extra is not installed."""

    def __init__(self, run: Run, index: Index) -> None:
        try:
            from jinja2 import Environment, PackageLoader, StrictUndefined
        except ImportError as error:
            raise InputError(f"leicos view needs {error.name}", fix="pip install 'leicos[report]'") from None
        self._run, self._index = run, index
        loader = PackageLoader("leicos_jobs.view", "")
        self._pages = Environment(loader=loader, autoescape=True, undefined=StrictUndefined, trim_blocks=True)
        self._pages.globals.update(run=run, words=chosen)

    def samples(self, asked: Mapping[str, str]) -> str:
        """The first page: how the run stands, and a page of its samples. asked: of the address."""
        self._index.look()
        counts, query = self._index.counts(), read_query(asked)
        rows, count = self._index.page(query)

        def address(**changed: Any) -> str:
            values = asdict(query) | {"down": int(query.down)} | changed
            return "/?" + urlencode({name: value for name, value in values.items() if value not in ("", 0)})

        heads = [
            (text, address(sort=name, down=int(query.sort == name and not query.down), page=0), query.sort == name)
            for name, text in SHOWN.items()
            if text
        ]
        results = Results(self._run)
        return self._pages.get_template("overview.html.j2").render(
            counts=counts,
            total=sum(counts.values()),
            rows=rows,
            query=query,
            heads=heads,
            pages=math.ceil(count / PAGE),
            count=count,
            address=address,
            reading=self._index.reading,
            verdict=self._verdict(results),
            done={name: newest(results, name) is not None for name in stages.WHOLE},
            report=report_key(results),
        )

    def sample(self, name: str) -> str | None:
        """The page of one sample, None if the plan has none of this id."""
        if (known := self._index.sample(name)) is None:
            return None
        sample, row = known
        found = lineage(self._run, sample)
        before, after = self._index.neighbours(name)
        return self._pages.get_template("sample.html.j2").render(
            sample=sample,
            row=row,
            found=found,
            panels=panels(found.actions, self._run.robot.action.names),
            seconds=sample.frames / found.episode.fps,
            size=(WIDTH, HEIGHT),
            before=before,
            after=after,
        )

    def failures(self) -> str:
        """Why samples failed, are quarantined or refused."""
        self._index.look()
        groups = {kind: self._index.reasons(kind) for kind in self._index.counts() if kind in TROUBLE}
        return self._pages.get_template("failures.html.j2").render(groups=groups, reading=self._index.reading)

    def _verdict(self, results: Results) -> tuple[bool, str]:
        record = newest(results, "report")
        if record is None:
            return False, "There is no report yet: this run is not finished."
        return bool(record.facts.get("good")), str(record.facts.get("verdict", ""))


TROUBLE = {"quarantined", "refused", "damaged"}
"""Kinds of outcomes that the page of failures tells of."""


def read_query(asked: Mapping[str, str]) -> Query:
    """What an address asks for; whatever it cannot ask for is as if it were not said."""
    page = asked.get("page", "")
    return Query(
        kind=asked.get("kind", "")[:100],
        text=asked.get("text", "")[:100],
        sort=asked["sort"] if asked.get("sort") in SORTS else "plan",
        down=asked.get("down") == "1",
        page=int(page) if page.isascii() and page.isdigit() and len(page) < 8 else 0,
    )


def report_key(results: Results) -> str:
    """Folder of the report's files in the run: the finished one's, else that of what is there so far; or empty."""
    from leicos_jobs.run import layout

    if (record := newest(results, "report")) is not None:
        return f"{record.folder}/"
    so_far = layout.so_far("")
    return so_far if results.run.store.size(f"{so_far}index.html") is not None else ""
