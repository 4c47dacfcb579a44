"""LLVM text of the vector kernels: matrix products over byte lanes, transposition, folding of checksums; compiled for this processor.

Multiplication by a constant is two look-ups of 16 bytes (H. P. Anvin, "The mathematics of RAID-6", section on vector permutation);
folding of CRCs: V. Gopal and others, "Fast CRC computation for generic polynomials using PCLMULQDQ", Intel 2009.
"""

from __future__ import annotations

import ctypes
import os
from functools import cache
from typing import Any

from tanken.base import native

MOST_ROWS = 10  # accumulators that fit into 16 vector registers beside two nibbles, a mask and two tables
TILE = 16


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


def has_carryless() -> bool:
    """Whether the processor multiplies without carries (PCLMULQDQ)."""
    target = _target()
    return target is not None and bool(target[1].get("pclmul"))


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
    return _function("matrices", _matrix_text(rows, width()), 10)


@cache
def transpose() -> Any:
    """f(out, in, rows, columns, in stride, out stride): rows at least `width()`, columns at least 16."""
    return _function("transpose", _transpose_text(width()), 6)


CHUNK = 64  # rows that `row_matrix` transposes at a time, so that they stay in the first-level cache


@cache
def row_matrix(rows: int) -> Any:
    """f(out, in, tables, columns, count, in stride, out stride, buffer): a matrix times vectors that lie in `count` rows of memory.

    At least CHUNK rows, at least 16 columns; the buffer has room for CHUNK * columns bytes.
    """
    transpose_text = _transpose_text(width()).replace("define void", "define internal void")
    matrix_text = _matrix_text(rows, width())
    return _function("row_matrix", transpose_text + matrix_text + _ROW_MATRIX, 8)


_ROW_MATRIX = f"""
define void @row_matrix(ptr %out, ptr %in, ptr %tables, i64 %columns, i64 %count, i64 %istride, i64 %ostride, ptr %buffer) {{
entry:
  %last = sub i64 %count, {CHUNK}
  br label %loop
loop:
  %i = phi i64 [ 0, %entry ], [ %i_next, %loop ]
  %row = call i64 @llvm.umin.i64(i64 %i, i64 %last)
  %off = mul i64 %row, %istride
  %from = getelementptr i8, ptr %in, i64 %off
  %to = getelementptr i8, ptr %out, i64 %row
  call void @transpose(ptr %buffer, ptr %from, i64 {CHUNK}, i64 %columns, i64 %istride, i64 {CHUNK})
  call void @matrix(ptr %to, ptr %buffer, ptr %tables, i64 %columns, i64 {CHUNK}, i64 {CHUNK}, i64 %ostride)
  %i_next = add i64 %i, {CHUNK}
  %more = icmp ult i64 %i_next, %count
  br i1 %more, label %loop, label %exit
exit:
  ret void
}}
"""


@cache
def fold() -> Any:
    """f(data, 16-byte pieces, constants, out, rows, stride): folds the pieces of each row to one of 16 bytes that has the same remainder."""
    return _function("fold_rows", _fold_text(), 6)


def _matrix_text(rows: int, w: int) -> str:
    vec = f"<{w} x i8>"
    shuffle = "llvm.x86.avx2.pshuf.b" if w == 32 else "llvm.x86.ssse3.pshuf.b.128"
    spread = ", ".join(f"i32 {i % 16}" for i in range(w))
    fifteen, four = (", ".join(f"i8 {n}" for _ in range(w)) for n in (15, 4))
    body = []
    for r in range(rows):
        for part, nibble in enumerate(("low", "high")):
            body.append(f"""
  %a{r}_{part} = getelementptr i8, ptr %tj, i64 {32 * r + 16 * part}
  %n{r}_{part} = load <16 x i8>, ptr %a{r}_{part}, align 1
  %b{r}_{part} = shufflevector <16 x i8> %n{r}_{part}, <16 x i8> undef, <{w} x i32> <{spread}>
  %p{r}_{part} = call {vec} @{shuffle}({vec} %b{r}_{part}, {vec} %{nibble})""")
        body.append(f"""
  %x{r} = xor {vec} %p{r}_0, %p{r}_1
  %s{r}_next = xor {vec} %s{r}, %x{r}""")
    phis = "\n".join(f"  %s{r} = phi {vec} [ zeroinitializer, %outer ], [ %s{r}_next, %inner ]" for r in range(rows))
    stores = "\n".join(
        f"  %q{r} = mul i64 %ostride, {r}\n  %o{r} = getelementptr i8, ptr %ol, i64 %q{r}\n  store {vec} %s{r}_next, ptr %o{r}, align 1" for r in range(rows)
    )
    return f"""
declare {vec} @{shuffle}({vec}, {vec})
define void @matrices(ptr %out, ptr %in, ptr %tables, i64 %columns, i64 %lanes, i64 %istride, i64 %ostride, i64 %pieces, i64 %istep, i64 %ostep) {{
entry:
  br label %piece
piece:
  %b = phi i64 [ 0, %entry ], [ %b_next, %piece ]
  %ib = mul i64 %b, %istep
  %ob = mul i64 %b, %ostep
  %pin = getelementptr i8, ptr %in, i64 %ib
  %pout = getelementptr i8, ptr %out, i64 %ob
  call void @matrix(ptr %pout, ptr %pin, ptr %tables, i64 %columns, i64 %lanes, i64 %istride, i64 %ostride)
  %b_next = add i64 %b, 1
  %b_more = icmp ult i64 %b_next, %pieces
  br i1 %b_more, label %piece, label %leave
leave:
  ret void
}}
define internal void @matrix(ptr %out, ptr %in, ptr %tables, i64 %columns, i64 %lanes, i64 %istride, i64 %ostride) {{
entry:
  br label %outer
outer:
  %l = phi i64 [ 0, %entry ], [ %l_next, %done ]
  br label %inner
inner:
  %j = phi i64 [ 0, %outer ], [ %j_next, %inner ]
{phis}
  %row = mul i64 %j, %istride
  %at = add i64 %row, %l
  %src = getelementptr i8, ptr %in, i64 %at
  %x = load {vec}, ptr %src, align 1
  %low = and {vec} %x, <{fifteen}>
  %high = lshr {vec} %x, <{four}>
  %off = mul i64 %j, {32 * rows}
  %tj = getelementptr i8, ptr %tables, i64 %off
{"".join(body)}
  %j_next = add i64 %j, 1
  %more = icmp ult i64 %j_next, %columns
  br i1 %more, label %inner, label %done
done:
  %ol = getelementptr i8, ptr %out, i64 %l
{stores}
  %l_next = add i64 %l, {w}
  %again = icmp ult i64 %l_next, %lanes
  br i1 %again, label %outer, label %exit
exit:
  ret void
}}
"""


def _transpose_text(w: int) -> str:
    """Tiles of w rows by 16 columns, by four rounds of interleaving; the last tile of a side overlaps the one before it.

    A vector holds row i in its first 16 bytes and row i + 16 in the others, so both halves are transposed at once.
    """
    starts = range(0, w, 16)
    masks = []
    for half in (0, 8):
        masks.append(", ".join(f"i32 {base + half + i}, i32 {base + half + i + w}" for base in starts for i in range(8)))
    vec, whole = f"<{w} x i8>", ", ".join(f"i32 {i}" for i in range(w))
    lines = []
    for i in range(w):
        lines += [
            f"  %r{i} = add i64 %row, {i}", f"  %ra{i} = mul i64 %r{i}, %istride", f"  %rb{i} = add i64 %ra{i}, %column",
            f"  %rp{i} = getelementptr i8, ptr %in, i64 %rb{i}", f"  %l{i} = load <16 x i8>, ptr %rp{i}, align 1",
        ]  # fmt: skip
    for i in range(16):
        second = f"%l{i + 16}" if w == 32 else f"%l{i}"
        lines.append(f"  %v0_{i} = shufflevector <16 x i8> %l{i}, <16 x i8> {second}, <{w} x i32> <{whole}>")
    for stage in range(4):
        for i in range(8):
            a, b = f"%v{stage}_{i}", f"%v{stage}_{i + 8}"
            for side, mask in enumerate(masks):
                lines.append(f"  %v{stage + 1}_{2 * i + side} = shufflevector {vec} {a}, {vec} {b}, <{w} x i32> <{mask}>")
    for i in range(16):
        lines += [
            f"  %c{i} = add i64 %column, {i}", f"  %ca{i} = mul i64 %c{i}, %ostride", f"  %cb{i} = add i64 %ca{i}, %row",
            f"  %cp{i} = getelementptr i8, ptr %out, i64 %cb{i}", f"  store {vec} %v4_{i}, ptr %cp{i}, align 1",
        ]  # fmt: skip
    tile = "\n".join(lines)
    return f"""
declare i64 @llvm.umin.i64(i64, i64)
define void @transpose(ptr %out, ptr %in, i64 %rows, i64 %columns, i64 %istride, i64 %ostride) {{
entry:
  %lastrow = sub i64 %rows, {w}
  %lastcolumn = sub i64 %columns, 16
  br label %outer
outer:
  %i = phi i64 [ 0, %entry ], [ %i_next, %endrow ]
  %row = call i64 @llvm.umin.i64(i64 %i, i64 %lastrow)
  br label %inner
inner:
  %j = phi i64 [ 0, %outer ], [ %j_next, %inner ]
  %column = call i64 @llvm.umin.i64(i64 %j, i64 %lastcolumn)
{tile}
  %j_next = add i64 %j, 16
  %more = icmp ult i64 %j_next, %columns
  br i1 %more, label %inner, label %endrow
endrow:
  %i_next = add i64 %i, {w}
  %again = icmp ult i64 %i_next, %rows
  br i1 %again, label %outer, label %exit
exit:
  ret void
}}
"""


def _fold_text() -> str:
    """Four accumulators of 16 bytes, 64 bytes a round; constants: fold by 64 bytes (two), by 16 bytes (two), byte order of a load.

    The shuffle makes the first byte of the data the highest coefficient, or leaves it where the checksum is reflected.
    """
    v = "<2 x i64>"

    def load(name: str, at: str) -> str:
        return f"""
  %{name}_p = getelementptr i8, ptr %data, i64 {at}
  %{name}_b = load <16 x i8>, ptr %{name}_p, align 1
  %{name}_s = call <16 x i8> @llvm.x86.ssse3.pshuf.b.128(<16 x i8> %{name}_b, <16 x i8> %order)
  %{name} = bitcast <16 x i8> %{name}_s to {v}"""

    def step(out: str, acc: str, constants: str, data: str) -> str:
        return f"""
  %{out}_h = call {v} @llvm.x86.pclmulqdq({v} %{acc}, {v} %{constants}, i8 17)
  %{out}_l = call {v} @llvm.x86.pclmulqdq({v} %{acc}, {v} %{constants}, i8 0)
  %{out}_x = xor {v} %{out}_h, %{out}_l
  %{out} = xor {v} %{out}_x, %{data}"""

    first = "".join(load(f"i{n}", str(16 * n)) for n in range(4))
    loop = "".join(f"\n  %at{n} = add i64 %pos, {16 * n}" + load(f"d{n}", f"%at{n}") + step(f"n{n}", f"a{n}", "by64", f"d{n}") for n in range(4))
    phis = "\n".join(f"  %a{n} = phi {v} [ %i{n}, %wide ], [ %n{n}, %loop ]" for n in range(4))
    ends = "\n".join(f"  %e{n} = phi {v} [ %i{n}, %wide ], [ %n{n}, %loop ]" for n in range(4))
    return f"""
declare {v} @llvm.x86.pclmulqdq({v}, {v}, i8 immarg)
declare <16 x i8> @llvm.x86.ssse3.pshuf.b.128(<16 x i8>, <16 x i8>)
define void @fold_rows(ptr %data, i64 %pieces, ptr %constants, ptr %out, i64 %rows, i64 %stride) {{
entry:
  br label %row
row:
  %r = phi i64 [ 0, %entry ], [ %r_next, %row ]
  %r_off = mul i64 %r, %stride
  %r_data = getelementptr i8, ptr %data, i64 %r_off
  %r_out_off = mul i64 %r, 16
  %r_out = getelementptr i8, ptr %out, i64 %r_out_off
  call void @fold(ptr %r_data, i64 %pieces, ptr %constants, ptr %r_out)
  %r_next = add i64 %r, 1
  %r_more = icmp ult i64 %r_next, %rows
  br i1 %r_more, label %row, label %leave
leave:
  ret void
}}
define internal void @fold(ptr %data, i64 %pieces, ptr %constants, ptr %out) {{
entry:
  %by64 = load {v}, ptr %constants, align 1
  %c16 = getelementptr i8, ptr %constants, i64 16
  %by16 = load {v}, ptr %c16, align 1
  %c32 = getelementptr i8, ptr %constants, i64 32
  %order = load <16 x i8>, ptr %c32, align 1
  %length = mul i64 %pieces, 16
  %big = icmp uge i64 %pieces, 4
  br i1 %big, label %wide, label %narrow
wide:{first}
  %rounds = and i64 %length, -64
  %enough = icmp ugt i64 %rounds, 64
  br i1 %enough, label %loop, label %join
loop:
  %pos = phi i64 [ 64, %wide ], [ %pos_next, %loop ]
{phis}{loop}
  %pos_next = add i64 %pos, 64
  %more = icmp ult i64 %pos_next, %rounds
  br i1 %more, label %loop, label %join
join:
{ends}{step("j1", "e0", "by16", "e1")}{step("j2", "j1", "by16", "e2")}{step("j3", "j2", "by16", "e3")}
  br label %tailtest
narrow:{load("z0", "0")}
  br label %tailtest
tailtest:
  %t = phi {v} [ %j3, %join ], [ %z0, %narrow ]
  %from = phi i64 [ %rounds, %join ], [ 16, %narrow ]
  %some = icmp ult i64 %from, %length
  br i1 %some, label %tail, label %exit
tail:
  %q = phi i64 [ %from, %tailtest ], [ %q_next, %tail ]
  %u = phi {v} [ %t, %tailtest ], [ %w, %tail ]{load("y", "%q")}{step("w", "u", "by16", "y")}
  %q_next = add i64 %q, 16
  %on = icmp ult i64 %q_next, %length
  br i1 %on, label %tail, label %exit
exit:
  %result = phi {v} [ %t, %tailtest ], [ %w, %tail ]
  store {v} %result, ptr %out, align 1
  ret void
}}
"""
