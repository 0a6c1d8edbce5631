"""From the parser's nodes to types, variables and functions."""

from __future__ import annotations

from collections import ChainMap
from typing import Any

from pycparser import c_ast, c_parser

from effc.compiler.search.translated.expressions import LIBRARY, Expressions
from effc.compiler.search.translated.tree import (
    Block,
    Break,
    Const,
    Continue,
    Declare,
    Definition,
    Effect,
    Expression,
    If,
    Literal,
    Loop,
    Program,
    Return,
    Statement,
    Variable,
)
from effc.compiler.search.translated.types import (
    INT,
    NAMED,
    Array,
    Function,
    Pointer,
    Struct,
    Type,
    lay_out,
)

PRELUDE = "typedef long int64_t; typedef unsigned long uint64_t; typedef unsigned long size_t; typedef long int128_t;\n"
"""For the parser, which only has to know that these are types."""


RESERVED = {*LIBRARY, "inf"}
"""Names that Python needs for something else."""


def parse(text: str) -> Program:
    """The program that a text in C is; what is not understood raises NotImplementedError."""
    reader = Reader()
    for node in c_parser.CParser().parse(PRELUDE + text, "kernel").ext:
        reader.read(node)
    return reader.program


class Reader(Expressions):
    """Reads one declaration after another."""

    def __init__(self) -> None:
        self.program = Program()
        self.typedefs: dict[str, Type] = dict(NAMED)
        self.structs: dict[str, Struct] = {}
        self.names: ChainMap[str, Variable | Const | Definition] = ChainMap()
        self.used: set[str] = set()
        self.result: Type = INT

    def read(self, node: Any) -> None:
        if isinstance(node, c_ast.Typedef):
            if node.name not in NAMED:
                self.typedefs[node.name] = self.type_of(node.type, node.name)
        elif isinstance(node, c_ast.FuncDef):
            self.function(node)
        elif isinstance(node.type, c_ast.FuncDecl):
            self.declared(node)
        else:
            self.program.shared += self.variables(node, shared=True)

    # types

    def type_of(self, node: Any, name: str | None = None) -> Type:
        """``name``: that of the typedef, for structs that have none."""
        if isinstance(node, c_ast.TypeDecl | c_ast.Typename):
            return self.type_of(node.type, name)
        if isinstance(node, c_ast.PtrDecl):
            return Pointer(self.type_of(node.type))
        if isinstance(node, c_ast.ArrayDecl):
            return Array(self.type_of(node.type), None if node.dim is None else self.number(node.dim))
        if isinstance(node, c_ast.IdentifierType):
            return self.typedefs[" ".join(node.names)]
        if isinstance(node, c_ast.Struct):
            return self.struct(node, name)
        if isinstance(node, c_ast.FuncDecl):
            kinds = [self.type_of(each.type) for each in node.args.params] if node.args else []
            kinds = [Pointer(kind.element) if isinstance(kind, Array) else kind for kind in kinds]
            return Function(self.type_of(node.type), tuple(kind for kind in kinds if kind != NAMED["void"]))
        if isinstance(node, c_ast.Enum):
            self.enum(node)
            return INT
        raise NotImplementedError(f"{node.coord}: {type(node).__name__}")

    def struct(self, node: Any, typedef: str | None) -> Struct:
        name = str(node.name or typedef)
        known = self.structs.setdefault(name, Struct(name))
        if node.decls is not None:
            lay_out(known, [(each.name, self.type_of(each.type)) for each in node.decls])
            self.program.structs.append(known)
        return known

    def enum(self, node: Any) -> None:
        value = 0
        for each in node.values.enumerators if node.values else ():
            value = value if each.value is None else self.number(each.value)
            self.names[each.name] = Const(INT, value)
            self.program.constants[each.name] = value
            value += 1

    def number(self, node: Any) -> int:
        value = self.value(node)
        if not isinstance(value, Const) or not isinstance(value.value, int):
            raise NotImplementedError(f"{node.coord}: expected a constant")
        return value.value

    # variables and functions

    def variables(self, node: Any, shared: bool = False) -> list[Declare]:
        if node.name is None:  # a struct or an enum alone
            self.type_of(node.type)
            return []
        kind = self.type_of(node.type)
        if isinstance(kind, Array) and kind.length is None:
            kind = Array(kind.element, len(node.init.exprs))
        if not shared and "static" in node.storage:
            raise NotImplementedError(f"{node.coord}: static variables of a function")
        variable = Variable(self.unused(node.name), kind, shared)
        self.names[node.name] = variable
        return [Declare(place(node), variable, None if node.init is None else self.initial(node.init, kind))]

    def initial(self, node: Any, kind: Type) -> Expression:
        if not isinstance(node, c_ast.InitList):
            return self.converted(self.value(node), kind)
        if isinstance(kind, Struct):
            kinds = [f.type for f in kind.fields.values() if not (isinstance(f.type, Array) and f.type.length is None)]
        elif isinstance(kind, Array):
            kinds = [kind.element] * (kind.length or 0)
        else:
            raise NotImplementedError(f"{node.coord}: a list for a {kind}")
        given: list[Expression | None] = [self.initial(each, t) for each, t in zip(node.exprs, kinds)]
        return Literal(kind, given + [None] * (len(kinds) - len(given)))

    def unused(self, name: str) -> str:
        """A name like this one that no variable of the function has, and no function or struct."""
        number, found = 1, name
        while found in self.used or found in self.program.functions or found in RESERVED or found in self.structs:
            number += 1
            found = f"{name}_{number}"
        self.used.add(found)
        return found

    def declared(self, node: Any) -> Definition:
        kind = self.type_of(node.type)
        assert isinstance(kind, Function)
        known = self.program.functions.get(node.name)
        if known is None:
            known = self.program.functions[node.name] = Definition(node.name, kind)
            self.names.maps[-1][node.name] = known
        return known

    def function(self, node: Any) -> None:
        function, names = self.declared(node.decl), self.names
        self.names, self.used, self.result = names.new_child(), set(), function.type.result
        given = [each for each in node.decl.type.args.params if each.name] if node.decl.type.args else []
        for each, kind in zip(given, function.type.parameters):
            variable = Variable(self.unused(each.name), kind)
            self.names[each.name] = variable
            function.parameters.append(variable)
        function.body = self.block(node.body)
        self.names = names

    # statements

    def block(self, node: Any) -> Block:
        self.names = self.names.new_child()
        statements = [each for item in node.block_items or () for each in self.statements(item)]
        self.names = self.names.parents
        return Block(place(node), statements)

    def statements(self, node: Any) -> list[Statement]:
        """A statement; declarations may be several."""
        at = place(node)
        if isinstance(node, c_ast.Decl):
            return list(self.variables(node))
        if isinstance(node, c_ast.DeclList):
            return [each for decl in node.decls for each in self.variables(decl)]
        if isinstance(node, c_ast.Compound):
            return [self.block(node)]
        if isinstance(node, c_ast.If):
            no = None if node.iffalse is None else self.one(node.iffalse)
            return [If(at, self.value(node.cond), self.one(node.iftrue), no)]
        if isinstance(node, c_ast.For):
            return [self.loop(node)]
        if isinstance(node, c_ast.While | c_ast.DoWhile):
            late = isinstance(node, c_ast.DoWhile)
            return [Loop(at, [], self.value(node.cond), None, self.one(node.stmt), late)]
        if isinstance(node, c_ast.Return):
            value = None if node.expr is None else self.value(node.expr)
            return [Return(at, value if value is None else self.converted(value, self.result))]
        if isinstance(node, c_ast.Break):
            return [Break(at)]
        if isinstance(node, c_ast.Continue):
            return [Continue(at)]
        if isinstance(node, c_ast.EmptyStatement):
            return []
        return [Effect(at, self.expression(node))]

    def one(self, node: Any) -> Statement:
        self.names = self.names.new_child()
        statements = self.statements(node)
        self.names = self.names.parents
        return statements[0] if len(statements) == 1 else Block(place(node), statements)

    def loop(self, node: Any) -> Loop:
        self.names = self.names.new_child()
        start = [] if node.init is None else self.statements(node.init)
        condition = None if node.cond is None else self.value(node.cond)
        step = None if node.next is None else self.expression(node.next)
        loop = Loop(place(node), start, condition, step, self.one(node.stmt))
        self.names = self.names.parents
        return loop


def place(node: Any) -> str:
    return "" if node is None or node.coord is None else f"{node.coord.file}:{node.coord.line}"
