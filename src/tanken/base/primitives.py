"""The functions of `base.wide` as Numba intrinsics: each builds the LLVM instructions that stand for a call.

LLVM Language Reference: load, store, getelementptr, llvm.ctlz. `base.native` imports this module when it compiles, nothing else does.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from llvmlite import ir
from numba import types
from numba.extending import intrinsic

WORD, VECTOR = ir.IntType(64), ir.VectorType(ir.IntType(8), 16)


def _pointer(context: Any, builder: Any, kind: Any, array: Any, index: Any, shape: ir.Type) -> Any:
    """A pointer to values of `shape` at an index of an array."""
    data = context.make_array(kind)(context, builder, array).data
    return builder.bitcast(builder.gep(data, [index]), shape.as_pointer())


@intrinsic
def copy16(typing: Any, to: Any, at: Any, source: Any, position: Any) -> Any:
    def build(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        first, second = signature.args[0], signature.args[2]
        value = builder.load(_pointer(context, builder, second, arguments[2], arguments[3], VECTOR), align=1)
        builder.store(value, _pointer(context, builder, first, arguments[0], arguments[1], VECTOR), align=1)
        return context.get_dummy_value()

    return types.void(to, types.int64, source, types.int64), build


@intrinsic
def store8(typing: Any, to: Any, at: Any, word: Any) -> Any:
    def build(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        builder.store(arguments[2], _pointer(context, builder, signature.args[0], arguments[0], arguments[1], WORD), align=1)
        return context.get_dummy_value()

    return types.void(to, types.int64, types.int64), build


@intrinsic
def load8(typing: Any, source: Any, position: Any) -> Any:
    def build(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.load(_pointer(context, builder, signature.args[0], arguments[0], arguments[1], WORD), align=1)

    return types.int64(source, types.int64), build


@intrinsic
def bit_length(typing: Any, word: Any) -> Any:
    def build(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.sub(ir.Constant(WORD, 64), builder.ctlz(arguments[0], ir.Constant(ir.IntType(1), 0)))

    return types.int64(types.int64), build


@intrinsic
def put(typing: Any, table: Any, index: Any, value: Any) -> Any:
    def build(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        pointer = builder.gep(context.make_array(signature.args[0])(context, builder, arguments[0]).data, [arguments[1]])
        narrow = pointer.type.pointee
        builder.store(arguments[2] if narrow.width == 64 else builder.trunc(arguments[2], narrow), pointer)
        return context.get_dummy_value()

    return types.void(table, types.int64, types.int64), build


@intrinsic
def item(typing: Any, table: Any, index: Any) -> Any:
    def build(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        value = builder.load(builder.gep(context.make_array(signature.args[0])(context, builder, arguments[0]).data, [arguments[1]]))
        return value if value.type.width == 64 else builder.zext(value, WORD)

    return types.int64(table, types.int64), build


PRIMITIVES: dict[str, Callable[..., Any]] = {"copy16": copy16, "store8": store8, "load8": load8, "bit_length": bit_length, "item": item, "put": put}
