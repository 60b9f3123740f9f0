"""Where a run's samples stand, in a table on disk: filtered, sorted and paged, however many there are.

Filled beside the pages that are shown meanwhile; what is not final is read again after a while.
"""

from __future__ import annotations

import json
import sqlite3
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from leicos_jobs.core import logs, stages
from leicos_jobs.core.errors import LeicosError
from leicos_jobs.core.parallel import in_parallel
from leicos_jobs.core.validation import parsed
from leicos_jobs.judge.sample_table import outcome
from leicos_jobs.judge.score import Scored
from leicos_jobs.run import failures, layout
from leicos_jobs.run.chain import State, walk
from leicos_jobs.run.opened import Run
from leicos_jobs.run.results import Results
from leicos_jobs.run.samples import Sample
from leicos_jobs.view.newest import newest

PAGE = 50
"""Rows of a page."""
BATCH = 512
AGAIN = 30.0
"""Seconds after which samples that are not final are read again, when somebody looks."""
PATIENCE = 2.0
"""Seconds that the first look waits: most runs are read by then."""
UNREAD = "not read yet"
SORTS = {
    "plan": "number", "sample": "id", "demo": "demo", "row0": "row0", "seed": "seed", "split": "split",
    "outcome": "outcome", "tracking": "tracking",
}  # fmt: skip
"""What a page can be sorted by -> its column."""
_TABLE = """
CREATE TABLE samples (
  number INTEGER PRIMARY KEY, id TEXT UNIQUE, demo TEXT, row0 INTEGER, seed INTEGER, split TEXT, line BLOB,
  kind TEXT, outcome TEXT, tracking REAL, final INTEGER, accepted INTEGER, reason TEXT
);
CREATE INDEX by_kind ON samples (kind);
CREATE INDEX by_outcome ON samples (outcome);
"""
_COLUMNS = ("id", "demo", "row0", "seed", "split", "kind", "outcome", "tracking", "accepted", "reason")


@dataclass(frozen=True)
class Query:
    """What a page of samples shows. kind: of outcomes, or all; text: part of a demo's name, or a sample id's beginning.
    page: from 0."""

    kind: str = ""
    text: str = ""
    sort: str = "plan"
    down: bool = False
    page: int = 0


class Index:
    """The table of one run. folder: where it is kept."""

    def __init__(self, run: Run, folder: Path) -> None:
        self._run, self._path = run, folder / "samples.sqlite"
        self._lock, self._thread = threading.Lock(), threading.Thread()
        self._plan, self._ended = "", float("-inf")
        with closing(self._open()) as table, table:
            table.execute("PRAGMA journal_mode=WAL")
            table.executescript(_TABLE)

    def look(self) -> None:
        """Somebody looks: read what is not known or not final, in the background."""
        with self._lock:
            if not self._thread.is_alive() and time.monotonic() - self._ended > AGAIN:
                self._thread = threading.Thread(target=self._fill_and_say, name="samples", daemon=True)
                self._thread.start()
                self._thread.join(PATIENCE)

    @property
    def reading(self) -> bool:
        """Whether it is being filled."""
        return self._thread.is_alive()

    def counts(self) -> dict[str, int]:
        """Samples by kind of outcome, the most frequent first."""
        rows = self._rows("SELECT kind, COUNT(*) n FROM samples GROUP BY 1 ORDER BY 2 DESC")
        return {row["kind"]: row["n"] for row in rows}

    def reasons(self, kind: str, limit: int = 100) -> list[dict[str, Any]]:
        """Why samples of a kind are where they are: `outcome`, `reason`, `n`, an `example`; the most frequent first."""
        query = (
            "SELECT outcome, reason, COUNT(*) n, MIN(id) example FROM samples WHERE kind = ? "
            "GROUP BY 1, 2 ORDER BY 3 DESC LIMIT ?"
        )
        return self._rows(query, (kind, limit))

    def page(self, query: Query) -> tuple[list[dict[str, Any]], int]:
        """The rows of one page, and how many the filter leaves in all."""
        where, values = ["1"], list[Any]()
        if query.kind:
            where.append("kind = ?")
            values.append(query.kind)
        if query.text:
            escaped = query.text.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
            where.append("(demo LIKE ? ESCAPE '\\' OR id LIKE ? ESCAPE '\\')")
            values += [f"%{escaped}%", f"{escaped}%"]
        source = f"FROM samples WHERE {' AND '.join(where)}"
        order = f"ORDER BY {SORTS.get(query.sort, 'number')} {'DESC' if query.down else 'ASC'}, number"
        rows = self._rows(
            f"SELECT {', '.join(_COLUMNS)} {source} {order} LIMIT ? OFFSET ?", [*values, PAGE, PAGE * query.page]
        )
        return rows, self._rows(f"SELECT COUNT(*) n {source}", values)[0]["n"]

    def sample(self, name: str) -> tuple[Sample, dict[str, Any]] | None:
        """A sample of the plan with its row, None if there is none of this id."""
        rows = self._rows(f"SELECT line, {', '.join(_COLUMNS)} FROM samples WHERE id = ?", (name,))
        return (parsed(Sample, rows[0]["line"], "plan"), rows[0]) if rows else None

    def neighbours(self, name: str) -> tuple[str, str]:
        """Ids of the samples before and after one in the plan; empty at the ends."""
        found = []
        for compare, order in (("<", "DESC"), (">", "ASC")):
            query = (
                f"SELECT id FROM samples WHERE number {compare} (SELECT number FROM samples WHERE id = ?) "
                f"ORDER BY number {order} LIMIT 1"
            )
            rows = self._rows(query, (name,))
            found.append(str(rows[0]["id"]) if rows else "")
        return found[0], found[1]

    def fill(self) -> None:
        """Read the plan, and where each of its samples stands that is not final. Raises what the store raises."""
        results = Results(self._run)
        record = results.current("plan")
        with closing(self._open()) as table:
            if record is None or record.key != self._plan:
                with table:
                    table.execute("DELETE FROM samples")
            if record is None:
                return
            if record.key != self._plan:
                self._read_plan(table, self._run.commits.read_lines(record, layout.SAMPLES))
                self._plan = record.key
            self._read_states(table, results)
            self._read_decisions(table, results)

    def _read_plan(self, table: sqlite3.Connection, lines: Iterator[bytes]) -> None:
        insert = (
            "INSERT INTO samples (number, id, demo, row0, seed, split, line, kind, outcome, final, reason) "
            "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, 0, '')"
        )
        numbered = enumerate(lines)
        while batch := list(islice(numbered, BATCH)):
            rows = []
            for number, line in batch:
                each = parsed(Sample, line, "plan")
                split = each.split.replace("_", " ")
                rows.append((number, each.id, each.demo, each.row0, each.seed, split, line, UNREAD, UNREAD))
            with table:
                table.executemany(insert, rows)

    def _read_states(self, table: sqlite3.Connection, results: Results) -> None:
        rules = results.rules()
        notes = {stage: failures.read_all(self._run.store, stage) for stage in stages.CHAIN}

        def stand(line: bytes) -> tuple[Any, ...]:
            sample = parsed(Sample, line, "plan")
            try:
                return _row(walk(self._run.commits, rules, sample), notes, self._run)
            except LeicosError as error:
                return ("damaged", "damaged", None, 0, error.message, sample.id)

        last = -1
        while rows := table.execute(
            "SELECT number, line FROM samples WHERE final = 0 AND number > ? ORDER BY number LIMIT ?", (last, BATCH)
        ).fetchall():
            last = rows[-1]["number"]
            update = "UPDATE samples SET kind = ?, outcome = ?, tracking = ?, final = ?, reason = ? WHERE id = ?"
            with table:
                table.executemany(update, in_parallel(stand, [row["line"] for row in rows]))

    def _read_decisions(self, table: sqlite3.Connection, results: Results) -> None:
        """Who is in the dataset, once curate has said it."""
        with table:
            table.execute("UPDATE samples SET accepted = NULL")
            if (record := newest(results, "curate")) is None:
                return
            decisions = map(json.loads, self._run.commits.read_lines(record, layout.CURATED))
            table.executemany(
                "UPDATE samples SET accepted = ?, reason = CASE WHEN reason = '' THEN ? ELSE reason END WHERE id = ?",
                ((int(each["accepted"]), each["reason"], each["sample"]) for each in decisions),
            )

    def _fill_and_say(self) -> None:
        """The thread's work. What goes wrong is a line in the log: the pages go on with what they have."""
        try:
            self.fill()
        except (LeicosError, sqlite3.Error) as error:
            logs.event("view.not_read", error=f"{type(error).__name__}: {error}".splitlines()[0])
        finally:
            self._ended = time.monotonic()

    def _open(self) -> sqlite3.Connection:
        table = sqlite3.connect(self._path, timeout=60)
        table.row_factory = sqlite3.Row
        return table

    def _rows(self, query: str, values: Any = ()) -> list[dict[str, Any]]:
        with closing(self._open()) as table:
            return [dict(row) for row in table.execute(query, values)]


def _row(state: State, notes: Mapping[str, Any], run: Run) -> tuple[Any, ...]:
    """Values of a sample's columns: kind, outcome, tracking, final, reason, id."""
    quarantined = failures.why_quarantined(state, dict(notes), run.config.rounds)
    said, metrics = outcome(Scored(state, quarantined)), state.metrics
    kind = said.partition(":")[0].partition(" in ")[0] if quarantined or state.refused else said
    final = bool(state.replay or state.refused is not None or (state.label is not None and state.no_replay))
    reason = quarantined.error if quarantined is not None else state.no_replay if state.label is not None else ""
    return (kind, said, metrics.tracking_error_deg if metrics else None, int(final), reason or "", state.sample.id)
