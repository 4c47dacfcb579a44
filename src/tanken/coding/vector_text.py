"""LLVM text of the kernels on byte lanes: products with a matrix, evaluation by Horner's rule, transposition; w bytes to a vector, 16 or 32.

Multiplication by a constant is two look-ups of 16 bytes (H. P. Anvin, "The mathematics of RAID-6", section on vector permutation).
"""

from __future__ import annotations

from collections.abc import Sequence

TILE = 16
CHUNK = 64  # rows that `row_matrix` transposes at a time, so that they stay in the first-level cache


def shuffle(w: int) -> str:
    """The name of the look-up of w bytes in tables of 16."""
    return "llvm.x86.avx2.pshuf.b" if w == 32 else "llvm.x86.ssse3.pshuf.b.128"


def _splat(value: int, w: int) -> str:
    return "<" + ", ".join(f"i8 {value}" for _ in range(w)) + ">"


def _product(r: int, w: int) -> str:
    """One row's product with the vector whose nibbles are %low and %high, added to its sum."""
    vec, spread = f"<{w} x i8>", ", ".join(f"i32 {i % 16}" for i in range(w))
    parts = [
        f"""
  %a{r}_{part} = getelementptr i8, ptr %tj, i64 {32 * r + 16 * part}
  %n{r}_{part} = load <16 x i8>, ptr %a{r}_{part}, align 1
  %b{r}_{part} = shufflevector <16 x i8> %n{r}_{part}, <16 x i8> undef, <{w} x i32> <{spread}>
  %p{r}_{part} = call {vec} @{shuffle(w)}({vec} %b{r}_{part}, {vec} %{nibble})"""
        for part, nibble in enumerate(("low", "high"))
    ]
    return f"""{"".join(parts)}
  %x{r} = xor {vec} %p{r}_0, %p{r}_1
  %s{r}_next = xor {vec} %s{r}, %x{r}"""


_PIECES = """
define void @matrices(ptr %out, ptr %in, ptr %tables, i64 %columns, i64 %lanes, i64 %istride, i64 %ostride, i64 %pieces, i64 %istep, i64 %ostep) {
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
}
"""


def matrix(rows: int, w: int) -> str:
    """@matrices: `rows` rows of products, w lanes after w lanes; for several matrices of lanes."""
    vec = f"<{w} x i8>"
    body = "".join(_product(r, w) for r in range(rows))
    phis = "\n".join(f"  %s{r} = phi {vec} [ zeroinitializer, %outer ], [ %s{r}_next, %inner ]" for r in range(rows))
    stores = "\n".join(
        f"  %q{r} = mul i64 %ostride, {r}\n  %o{r} = getelementptr i8, ptr %ol, i64 %q{r}\n  store {vec} %s{r}_next, ptr %o{r}, align 1" for r in range(rows)
    )
    return f"""
declare {vec} @{shuffle(w)}({vec}, {vec})
{_PIECES}
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
  %low = and {vec} %x, {_splat(15, w)}
  %high = lshr {vec} %x, {_splat(4, w)}
  %off = mul i64 %j, {32 * rows}
  %tj = getelementptr i8, ptr %tables, i64 %off
{body}
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


def row_matrix(rows: int, w: int) -> str:
    """@row_matrix: a matrix times vectors that lie in rows, CHUNK of them transposed at a time."""
    return f"""{transpose(w).replace("define void", "define internal void")}{matrix(rows, w)}
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


Table = tuple[int, bytes]  # a constant, and its products with 0 to 15 and with 0, 16 to 240


def _times(name: str, constant: Table, polynomial: int, w: int) -> str:
    """%NAMEm = %NAME times the constant: by 1 nothing, by 2 a shift, else look-ups."""
    vec, (value, table) = f"<{w} x i8>", constant
    if value == 1:
        return f"  %{name}m = xor {vec} %{name}, zeroinitializer"
    if value == 2:
        return f"""  %{name}d = add {vec} %{name}, %{name}
  %{name}n = icmp slt {vec} %{name}, zeroinitializer
  %{name}c = select <{w} x i1> %{name}n, {vec} {_splat(polynomial & 0xFF, w)}, {vec} zeroinitializer
  %{name}m = xor {vec} %{name}d, %{name}c"""
    low, high = ("<" + ", ".join(f"i8 {part[i % 16]}" for i in range(w)) + ">" for part in (table[:16], table[16:]))
    return f"""  %{name}a = and {vec} %{name}, {_splat(15, w)}
  %{name}h = lshr {vec} %{name}, {_splat(4, w)}
  %{name}p = call {vec} @{shuffle(w)}({vec} {low}, {vec} %{name}a)
  %{name}q = call {vec} @{shuffle(w)}({vec} {high}, {vec} %{name}h)
  %{name}m = xor {vec} %{name}p, %{name}q"""


def _horner(group: int, starts: Sequence[int], constants: Sequence[Table], polynomial: int, lanes: int, w: int) -> str:
    """A loop down the rows for some vectors of lanes; block labels and names carry the group's number."""
    vec, g = f"<{w} x i8>", f"g{group}"
    loop, ends = [], []
    for v, start in enumerate(starts):
        loop.append(f"  %{g}v{v}p = getelementptr i8, ptr %{g}row, i64 {start}\n  %{g}v{v} = load {vec}, ptr %{g}v{v}p, align 1")
        for r, constant in enumerate(constants):
            name = f"{g}s{v}_{r}"
            loop.append(f"{_times(name, constant, polynomial, w)}\n  %{name}x = xor {vec} %{name}m, %{g}v{v}")
            ends.append(f"  %{name}o = getelementptr i8, ptr %pout, i64 {r * lanes + start}\n  store {vec} %{name}x, ptr %{name}o, align 1")
    names = [f"{g}s{v}_{r}" for v in range(len(starts)) for r in range(len(constants))]
    phis = [f"  %{name} = phi {vec} [ zeroinitializer, %{g} ], [ %{name}x, %{g}loop ]" for name in names]
    return "\n".join([
        f"  br label %{g}\n{g}:\n  br label %{g}loop\n{g}loop:", f"  %{g}i = phi i64 [ 0, %{g} ], [ %{g}next, %{g}loop ]", *phis,
        f"  %{g}off = mul i64 %{g}i, %stride\n  %{g}row = getelementptr i8, ptr %pin, i64 %{g}off", *loop,
        f"  %{g}next = add i64 %{g}i, 1\n  %{g}more = icmp ult i64 %{g}next, %rows\n  br i1 %{g}more, label %{g}loop, label %{g}end\n{g}end:", *ends,
    ])  # fmt: skip


def evaluation(constants: Sequence[Table], polynomial: int, lanes: int, w: int) -> str:
    """@evaluate: each lane as a polynomial, its first row the highest power, at the constants: a row of the result for each.

    Two vectors of lanes go down the rows together; the last vector overlaps the one before it.
    """
    starts = [min(start, lanes - w) for start in range(0, lanes, w)]
    groups = [starts[i : i + 2] for i in range(0, len(starts), 2)]
    return f"""
declare <{w} x i8> @{shuffle(w)}(<{w} x i8>, <{w} x i8>)
define void @evaluate(ptr %out, ptr %in, i64 %rows, i64 %stride, i64 %pieces, i64 %istep) {{
entry:
  br label %piece
piece:
  %b = phi i64 [ 0, %entry ], [ %b_next, %last ]
  %ib = mul i64 %b, %istep
  %ob = mul i64 %b, {len(constants) * lanes}
  %pin = getelementptr i8, ptr %in, i64 %ib
  %pout = getelementptr i8, ptr %out, i64 %ob
{chr(10).join(_horner(number, group, constants, polynomial, lanes, w) for number, group in enumerate(groups))}
  br label %last
last:
  %b_next = add i64 %b, 1
  %b_more = icmp ult i64 %b_next, %pieces
  br i1 %b_more, label %piece, label %leave
leave:
  ret void
}}
"""


def _tile(w: int) -> str:
    """One tile: loads, four rounds of interleaving, stores."""
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
    return "\n".join(lines)


def transpose(w: int) -> str:
    """@transpose: tiles of w rows by 16 columns, by four rounds of interleaving; the last tile of a side overlaps the one before it.

    A vector holds row i in its first 16 bytes and row i + 16 in the others, so both halves are transposed at once.
    """
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
{_tile(w)}
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
