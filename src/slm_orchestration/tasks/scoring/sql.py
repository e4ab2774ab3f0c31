"""SQL queries, compared as syntax trees because the tasks come without a database. The reference is a query.

Both queries are parsed as SQLite and normalised: names in lower case, aliases replaced by their tables and expressions,
values in double quotes as text, output names removed, ASC and INNER implied, operands of AND, OR and = sorted, joined
tables in alphabetical order. Table qualifiers of columns count only if both queries qualify every column. Queries that
are equivalent in other ways are graded wrong.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache

from sqlglot import exp
from sqlglot.dialects.sqlite import SQLite
from sqlglot.errors import SqlglotError
from sqlglot.parsers.sqlite import SQLiteParser

from slm_orchestration.tasks.scoring.extraction import code_block
from slm_orchestration.tasks.task import Task

_LONGEST, _DEEPEST = 4_000, 40
# Steps over tokens. The parser goes back where a rule fails, for joins without ON twice as often with each join; a
# query of 4,000 characters that it reads straight through takes fewer than 4,000 steps.
_MOST_STEPS = 50_000


@dataclass(frozen=True)
class NormalForm:
    """A normalised query, with (`full`) and without (`bare`) table qualifiers of columns."""

    full: str
    bare: str
    qualified: bool


def score(task: Task, answer: str) -> float:
    """Return 1 if the first statement of the answer's code block has the normal form of the reference."""
    given = normal_form(re.sub(r"^\s*(?:answer:|sql\b)\s*", "", code_block(answer), flags=re.IGNORECASE))
    reference = normal_form(task.reference)
    if given is None or reference is None:
        return 0.0
    if given.qualified and reference.qualified:
        return float(given.full == reference.full)
    return float(given.bare == reference.bare)


@lru_cache(maxsize=1024)
def normal_form(query: str) -> NormalForm | None:
    """Return the normal form of the first statement; None if it is not a query, or takes too long to parse."""
    depths = [0]
    for character in query[:_LONGEST]:
        depths.append(depths[-1] + (character == "(") - (character == ")"))
    if len(query) > _LONGEST or max(depths) > _DEEPEST:
        return None
    try:
        # Some references are tokenised, so that "<=" is written "< =".
        joined = re.sub(r"([<>!])\s+=", r"\1=", query)
        trees = [tree for tree in _BoundedParser(dialect=SQLite()).parse(SQLite().tokenize(joined), joined) if tree]
        if not trees or not isinstance(trees[0], exp.Query):
            return None
        tables = list(trees[0].find_all(exp.Table))
        columns = [column for column in trees[0].find_all(exp.Column) if not _is_text(column)]
        qualified = len(tables) > 1 and all(column.table for column in columns)
        return NormalForm(_normal(trees[0], bare=False), _normal(trees[0], bare=True), qualified)
    except (SqlglotError, RecursionError, ValueError, TypeError, AttributeError):
        return None


class _BoundedParser(SQLiteParser):
    """The parser of SQLite, which stops after a number of steps: the same verdict on every machine, as no time is."""

    _steps = 0

    def _advance(self, times: int = 1) -> None:
        self._steps += 1
        if self._steps > _MOST_STEPS:
            raise SqlglotError(f"the query takes more than {_MOST_STEPS} steps to parse")
        super()._advance(times)


def _normal(query: exp.Query, *, bare: bool) -> str:
    tree: exp.Expr = query.copy()
    tables = {table.alias_or_name.lower(): table.name.lower() for table in tree.find_all(exp.Table)}
    # Bottom-up, so that the children of a node are already normalised.
    for node in reversed(list(tree.walk(bfs=True))):
        normalised = _sorted_operands(_normalised_node(node, tables, bare=bare))
        if normalised is not node:
            tree = normalised if node is tree else tree
            node.replace(normalised)
    for select in tree.find_all(exp.Select):
        _sort_joins(select)
    return _text(tree)


def _normalised_node(node: exp.Expr, tables: dict[str, str], *, bare: bool) -> exp.Expr:
    if isinstance(node, exp.Alias):
        return node.this
    if isinstance(node, exp.Column) and _is_text(node):
        return exp.Literal.string(node.name)
    if isinstance(node, exp.Column):
        named = None if bare or not node.table else tables.get(node.table.lower(), node.table.lower())
        return exp.Column(
            this=exp.Star() if isinstance(node.this, exp.Star) else exp.to_identifier(node.name.lower()),
            table=exp.to_identifier(named),
        )
    if isinstance(node, exp.Table):
        return exp.to_table(node.name.lower())
    if isinstance(node, exp.Ordered):
        return exp.Ordered(
            this=node.this, desc=bool(node.args.get("desc")) or None, nulls_first=not node.args.get("desc")
        )
    return node


def _is_text(column: exp.Column) -> bool:
    # Spider writes text in double quotes, which SQLite accepts where no column has that name.
    return bool(column.this.args.get("quoted")) and not column.table


def _sort_joins(select: exp.Select) -> None:
    source, joins = select.args.get("from") or select.args.get("from_"), select.args.get("joins") or []
    if source is None or not all(isinstance(join.this, exp.Table) and not join.args.get("side") for join in joins):
        return
    conditions = sorted((join.args["on"] for join in joins if join.args.get("on")), key=_text)
    names = sorted([source.this, *(join.this for join in joins)], key=_text)
    source.set("this", names[0])
    select.set("joins", [exp.Join(this=name) for name in names[1:]])
    for join, condition in zip(select.args.get("joins") or [], conditions, strict=False):
        join.set("on", condition)


def _sorted_operands(node: exp.Expr) -> exp.Expr:
    if isinstance(node, exp.And | exp.Or):
        operands = sorted((operand.unnest() for operand in node.flatten()), key=_text)
        return (exp.and_ if isinstance(node, exp.And) else exp.or_)(*operands)
    if isinstance(node, exp.EQ) and _text(node.left) > _text(node.right):
        return exp.EQ(this=node.right.copy(), expression=node.left.copy())
    return node


def _text(node: exp.Expr) -> str:
    return node.sql(dialect="sqlite")
