"""What a route's method says of itself: the type of its body, its query parameters, the type of its answer.

Read from annotations and source, so that no second list of them can be forgotten. Nothing is called.
"""

import ast
import inspect
import re
import textwrap
import types
import typing
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

_DEEP = 3  # a method may leave its reading to others of its module
_CONVERTER = re.compile(r"{(\w+)(?::\w+)?}")
_BODY = frozenset({"body", "decode"})


@dataclass(frozen=True, slots=True)
class Operation:
    """One method of one path. `path` as OpenAPI writes it; `body`, `answer`: types, None where there is none."""

    method: str
    path: str
    name: str
    text: str
    status: int
    body: Any = None
    answer: Any = None
    query: Sequence[str] = ()

    @property
    def path_parameters(self) -> list[str]:
        return _CONVERTER.findall(self.path)


def operation_of(method: str, path: str, answer: Callable[..., Any], status: int) -> Operation:
    """Read one route. `answer`: a method of a class, bound or not."""
    function = answer.__func__ if isinstance(answer, types.MethodType) else answer
    owner = type(answer.__self__) if isinstance(answer, types.MethodType) else None
    read = list(_functions(function, owner, _DEEP))
    body = next((found for each in read if (found := _body(each)) is not None), None)
    query = list(dict.fromkeys(name for each in read for name in _query(each)))
    return Operation(
        method,
        openapi_path(path),
        function.__name__.strip("_"),
        inspect.getdoc(function) or "",
        status,
        body,
        typing.get_type_hints(function).get("return"),
        query,
    )


def openapi_path(path: str) -> str:
    """Take Starlette's converters out of a path.

    >>> openapi_path("/v1/senders/{sender:path}/hold")
    '/v1/senders/{sender}/hold'
    """
    return _CONVERTER.sub(r"{\1}", path)


@dataclass(frozen=True, slots=True)
class _Read:
    """A function's source as a tree, and the names it knows."""

    tree: ast.AST
    known: dict[str, Any]


def _functions(function: Callable[..., Any], owner: type | None, deep: int) -> Iterator[_Read]:
    """The function, and those of its own class or module that it calls."""
    function = inspect.unwrap(function)
    if not isinstance(function, types.FunctionType):
        return
    read = _Read(ast.parse(textwrap.dedent(inspect.getsource(function))), function.__globals__)
    yield read
    if not deep:
        return
    for call in _calls(read.tree):
        called = _called(call, owner, read.known)
        if isinstance(called, types.FunctionType) and called.__module__ == function.__module__:
            yield from _functions(called, owner, deep - 1)


def _called(call: ast.Call, owner: type | None, known: dict[str, Any]) -> object:
    match call.func:
        case ast.Name(id=name):
            return known.get(name)
        case ast.Attribute(value=ast.Name(id="self"), attr=name) if owner is not None:
            return getattr(owner, name, None)
    return None


def _body(read: _Read) -> Any:
    """X of body(request, X), or of decode(..., type=X)."""
    for call in _calls(read.tree):
        name = call.func.id if isinstance(call.func, ast.Name) else getattr(call.func, "attr", "")
        given = [keyword.value for keyword in call.keywords if keyword.arg == "type"] or call.args[1:2]
        if name in _BODY and given:
            # our own source: names of types, as the module that uses them knows them
            return eval(compile(ast.Expression(given[0]), "<route>", "eval"), read.known)  # noqa: S307
    return None


def _query(read: _Read) -> Iterator[str]:
    """The names under which a function looks into the query of its request."""
    holders = {
        target.id
        for node in ast.walk(read.tree)
        if isinstance(node, ast.Assign)
        for target, value in _pairs(node)
        if isinstance(target, ast.Name) and _is_query(value, ())
    }
    for node in ast.walk(read.tree):
        match node:
            case ast.Subscript(value=held, slice=ast.Constant(value=str(name))) if _is_query(held, holders):
                yield name
            case ast.Call(func=ast.Attribute(value=held), args=[ast.Constant(value=str(name)), *_]) if _is_query(
                held, holders
            ):
                yield name
            case ast.Call(func=ast.Name(), args=[ast.Constant(value=str(name)), held]) if _is_query(held, holders):
                yield name
            case ast.Call(func=ast.Name(id="limit")):
                yield "limit"


def _pairs(node: ast.Assign) -> Iterator[tuple[ast.expr, ast.expr]]:
    target, value = node.targets[0], node.value
    if isinstance(target, ast.Tuple) and isinstance(value, ast.Tuple):
        yield from zip(target.elts, value.elts, strict=True)
    else:
        yield target, value


def _is_query(node: ast.AST, holders: typing.Container[str]) -> bool:
    if isinstance(node, ast.Attribute):
        return node.attr == "query_params"
    return isinstance(node, ast.Name) and node.id in holders


def _calls(tree: ast.AST) -> Iterator[ast.Call]:
    return (node for node in ast.walk(tree) if isinstance(node, ast.Call))
