"""The vector kernels, compiled for this processor: matrix products over byte lanes, transposition, evaluation, folding of checksums.

Their text stands in `vector_text` and `fold_text`; LLVM language reference for what it means.
"""

from __future__ import annotations

import ctypes
import os
from functools import cache
from typing import Any

from tanken.base import native
from tanken.coding import fold_text, vector_text
from tanken.coding.vector_text import CHUNK as CHUNK
from tanken.coding.vector_text import TILE as TILE

MOST_ROWS = 10  # accumulators that fit into 16 vector registers beside two nibbles, a mask and two tables


@cache
def _target() -> tuple[Any, dict[str, bool]] | None:
    """LLVM's description of this processor and its features; None where native code is off or the processor is no x86-64."""
    if not native.available() or os.environ.get("TANKEN_VECTOR", "on") == "off":
        return None
    import llvmlite.binding as llvm

    llvm.initialize_native_target()
    llvm.initialize_native_asmprinter()
    features: dict[str, bool] = dict(llvm.get_host_cpu_features())
    if not features.get("ssse3") or not llvm.get_process_triple().startswith("x86_64"):
        return None
    target = llvm.Target.from_triple(llvm.get_process_triple())
    machine = target.create_target_machine(cpu=llvm.get_host_cpu_name(), features=llvm.get_host_cpu_features().flatten(), opt=3)
    return machine, features


def width() -> int:
    """Bytes of a vector: 32 with AVX2, 16 with SSSE3, 0 where there is no vector code."""
    target = _target()
    if target is None:
        return 0
    return 32 if target[1].get("avx2") else 16


_engines: list[Any] = []  # what was compiled lives as long as the process


@cache
def _function(name: str, text: str, arguments: int, result: bool = False) -> Any:
    import llvmlite.binding as llvm

    target = _target()
    assert target is not None
    machine = target[0]
    module = llvm.parse_assembly(text)
    module.verify()
    tuning = llvm.create_pipeline_tuning_options(speed_level=2)
    tuning.loop_unrolling = False
    builder = llvm.create_pass_builder(machine, tuning)
    builder.getModulePassManager().run(module, builder)
    engine = llvm.create_mcjit_compiler(module, machine)
    engine.finalize_object()
    _engines.append(engine)
    kind = ctypes.CFUNCTYPE(ctypes.c_uint64 if result else None, *[ctypes.c_uint64] * arguments)
    return kind(engine.get_function_address(name))


@cache
def matrix(rows: int) -> Any:
    """f(out, in, tables, columns, lanes, in stride, out stride, pieces, in step, out step): `rows` rows of products, lanes a multiple of `width()`.

    The whole is done for `pieces` matrices of lanes, `step` bytes apart.
    """
    return _function("matrices", vector_text.matrix(rows, width()), 10)


@cache
def transpose() -> Any:
    """f(out, in, rows, columns, in stride, out stride): rows at least `width()`, columns at least 16."""
    return _function("transpose", vector_text.transpose(width()), 6)


@cache
def row_matrix(rows: int) -> Any:
    """f(out, in, tables, columns, count, in stride, out stride, buffer): a matrix times vectors that lie in `count` rows of memory.

    At least CHUNK rows, at least 16 columns; the buffer has room for CHUNK * columns bytes.
    """
    return _function("row_matrix", vector_text.row_matrix(rows, width()), 8)


@cache
def evaluation(constants: tuple[tuple[int, bytes], ...], polynomial: int, lanes: int) -> Any:
    """f(out, in, rows, stride, pieces, in step): each lane, as a polynomial with its first row the highest power, at each constant.

    `constants` are elements of the field with their 32 bytes of `Field.nibble_tables`; lanes at least `width()`. The results are rows of `lanes` bytes.
    """
    return _function("evaluate", vector_text.evaluation(constants, polynomial, lanes, width()), 6)


def fold_width() -> int:
    """Bytes of an accumulator of a fold: 32 where the processor multiplies without carries in wide vectors, else 16; 0 where it does not at all."""
    target = _target()
    if target is None or not target[1].get("pclmul"):
        return 0
    return 32 if target[1].get("vpclmulqdq") and target[1].get("avx2") else 16


@cache
def fold() -> Any:
    """f(data, 16-byte pieces, constants, out, rows, stride): folds the pieces of each row to one of 16 bytes that has the same remainder."""
    return _function("fold_rows", fold_text.rows(fold_width()), 6)


@cache
def fold_gathered(height: int, width: int) -> Any:
    """f(data, constants, out, groups, group step, count, step, stride): as `fold`, for messages of `height` strips of `width` bytes, `stride` apart.

    The product of height and width is a multiple of 16.
    """
    return _function("fold_gathered", fold_text.gathered(height, width, fold_width()), 8)
