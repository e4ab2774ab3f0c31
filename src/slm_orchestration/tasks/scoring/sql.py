"""SQL. The reference is a query; the answer is compared with it as a syntax tree, because no data comes with the tasks.

Both are read as SQLite and brought to one form: lower-case names, aliases replaced by what they stand for, values in
double quotes as text, no output names, `ASC` and `INNER` implied, operands of AND, OR and = sorted, joined tables in
alphabetical order. Table names before columns count only where both queries give them throughout. Queries that are
equivalent in other ways count as wrong.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache

import sqlglot
from sqlglot import exp
from sqlglot.errors import SqlglotError

from slm_orchestration.tasks.scoring.extraction import code_block
from slm_orchestration.tasks.task import Task

_LONGEST, _DEEPEST = 4_000, 40


@dataclass(frozen=True)
class Query:
    """One query in the normal form, with and without table names before columns."""

    full: str
    bare: str
    qualified: bool


def score(task: Task, answer: str) -> float:
    """Return 1 if the first statement of the answer's code block is the reference's in normal form."""
    given = parsed(re.sub(r"^\s*(?:answer:|sql\b)\s*", "", code_block(answer), flags=re.IGNORECASE))
    reference = parsed(task.reference)
    if given is None or reference is None:
        return 0.0
    if given.qualified and reference.qualified:
        return float(given.full == reference.full)
    return float(given.bare == reference.bare)


@lru_cache(maxsize=1024)
def parsed(query: str) -> Query | None:
    """Return the normal form of the first statement; None if it is no query, or too long or deep to be read safely."""
    depths = [0]
    for character in query[:_LONGEST]:
        depths.append(depths[-1] + (character == "(") - (character == ")"))
    if len(query) > _LONGEST or max(depths) > _DEEPEST:
        return None
    try:
        # Some references are cut into words, so that "<=" is "< =".
        joined = re.sub(r"([<>!])\s+=", r"\1=", query)
        trees = [tree for tree in sqlglot.parse(joined, read="sqlite") if tree is not None]
        if not trees or not isinstance(trees[0], exp.Query):
            return None
        tables = list(trees[0].find_all(exp.Table))
        columns = [column for column in trees[0].find_all(exp.Column) if not _is_text(column)]
        qualified = len(tables) > 1 and all(column.table for column in columns)
        return Query(_normal(trees[0], bare=False), _normal(trees[0], bare=True), qualified)
    except (SqlglotError, RecursionError, ValueError, TypeError, AttributeError):
        return None


def _normal(query: exp.Query, *, bare: bool) -> str:
    tree: exp.Expr = query.copy()
    tables = {table.alias_or_name.lower(): table.name.lower() for table in tree.find_all(exp.Table)}
    # From the leaves up, so that what a node is replaced by is already in the normal form.
    for node in reversed(list(tree.walk(bfs=True))):
        plain = _sorted_operands(_plain(node, tables, bare=bare))
        if plain is not node:
            tree = plain if node is tree else tree
            node.replace(plain)
    for select in tree.find_all(exp.Select):
        _sort_sources(select)
    return _text(tree)


def _plain(node: exp.Expr, tables: dict[str, str], *, bare: bool) -> exp.Expr:
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
    # Spider writes values in double quotes, which SQLite takes for text where no column has that name.
    return bool(column.this.args.get("quoted")) and not column.table


def _sort_sources(select: exp.Select) -> None:
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
