"""LLVM text of the folding of checksums: long messages shrink by carry-less products to 16 bytes of the same remainder.

V. Gopal and others, "Fast CRC computation for generic polynomials using PCLMULQDQ", Intel 2009. Four accumulators of w bytes, 16 or 32 (VPCLMULQDQ).
Constants, 16 bytes each: fold by 4 w bytes, by w bytes, by 16 bytes; then the order of the bytes of a load.
"""

from __future__ import annotations

CONSTANTS = 64  # bytes


def declarations(w: int) -> str:
    """What the texts below call."""
    out = "declare <2 x i64> @llvm.x86.pclmulqdq(<2 x i64>, <2 x i64>, i8 immarg)\ndeclare <16 x i8> @llvm.x86.ssse3.pshuf.b.128(<16 x i8>, <16 x i8>)\n"
    if w == 32:
        out += "declare <4 x i64> @llvm.x86.pclmulqdq.256(<4 x i64>, <4 x i64>, i8 immarg)\ndeclare <32 x i8> @llvm.x86.avx2.pshuf.b(<32 x i8>, <32 x i8>)\n"
    return out


def _load(name: str, at: str, w: int) -> str:
    """w bytes of the message from offset `at` on, the first the highest coefficient unless the checksum is reflected."""
    call, order = ("llvm.x86.avx2.pshuf.b", "%order2") if w == 32 else ("llvm.x86.ssse3.pshuf.b.128", "%order")
    return f"""
  %{name}_p = getelementptr i8, ptr %data, i64 {at}
  %{name}_b = load <{w} x i8>, ptr %{name}_p, align 1
  %{name}_s = call <{w} x i8> @{call}(<{w} x i8> %{name}_b, <{w} x i8> {order})
  %{name} = bitcast <{w} x i8> %{name}_s to <{w // 8} x i64>"""


def _step(out: str, sum_: str, constants: str, data: str, w: int) -> str:
    """%out = %sum folded, plus %data."""
    v, call = f"<{w // 8} x i64>", "llvm.x86.pclmulqdq.256" if w == 32 else "llvm.x86.pclmulqdq"
    return f"""
  %{out}_h = call {v} @{call}({v} %{sum_}, {v} %{constants}, i8 17)
  %{out}_l = call {v} @{call}({v} %{sum_}, {v} %{constants}, i8 0)
  %{out}_x = xor {v} %{out}_h, %{out}_l
  %{out} = xor {v} %{out}_x, %{data}"""


def _constants(w: int) -> str:
    """Loads them; where vectors are wide, doubled."""
    wide = w == 32
    lines = []
    for name, at, kind, count in (("round", 0, "i64", 2), ("wide", 16, "i64", 2), ("by16", 32, "i64", 2), ("order", 48, "i8", 16)):
        lines.append(f"  %{name}_a = getelementptr i8, ptr %constants, i64 {at}\n  %{name} = load <{count} x {kind}>, ptr %{name}_a, align 1")
        if wide and name != "by16":
            mask = ", ".join(f"i32 {i % count}" for i in range(2 * count))
            lines.append(f"  %{name}2 = shufflevector <{count} x {kind}> %{name}, <{count} x {kind}> undef, <{2 * count} x i32> <{mask}>")
    return "\n".join(lines)


def _end(w: int) -> str:
    """Four accumulators become one, and that 16 bytes."""
    v, by = f"<{w // 8} x i64>", "wide2" if w == 32 else "wide"
    phis = "\n".join(f"  %e{n} = phi {v} [ {'%first' if n == 3 else 'zeroinitializer'}, %start ], [ %n{n}, %loop ]" for n in range(4))
    text = phis + _step("j1", "e0", by, "e1", w) + _step("j2", "j1", by, "e2", w) + _step("j3", "j2", by, "e3", w)
    if w == 16:
        return text + "\n  store <2 x i64> %j3, ptr %out, align 1"
    return f"""{text}
  %early = shufflevector {v} %j3, {v} undef, <2 x i32> <i32 0, i32 1>
  %late = shufflevector {v} %j3, {v} undef, <2 x i32> <i32 2, i32 3>{_step("all", "early", "by16", "late", 16)}
  store <2 x i64> %all, ptr %out, align 1"""


def fold(w: int) -> str:
    """@fold: pieces of 16 bytes become one. Those that do not fill whole rounds come first, behind zeros, which weigh nothing."""
    v, by = f"<{w // 8} x i64>", "round2" if w == 32 else "round"
    phis = "\n".join(f"  %a{n} = phi {v} [ {'%first' if n == 3 else 'zeroinitializer'}, %start ], [ %n{n}, %loop ]" for n in range(4))
    loop = "".join(f"\n  %at{n} = add i64 %pos, {w * n}" + _load(f"d{n}", f"%at{n}", w) + _step(f"n{n}", f"a{n}", by, f"d{n}", w) for n in range(4))
    last = "<i32 2, i32 3, i32 0, i32 1>" if w == 32 else "<i32 0, i32 1>"
    return f"""
define internal void @fold(ptr %data, i64 %pieces, ptr %constants, ptr %out) {{
entry:
{_constants(w)}
  %length = mul i64 %pieces, 16
  %odd = and i64 %length, {4 * w - 1}
  %some = icmp ugt i64 %odd, 0
  br i1 %some, label %head, label %start
head:
  %q = phi i64 [ 0, %entry ], [ %q_next, %head ]
  %u = phi <2 x i64> [ zeroinitializer, %entry ], [ %t, %head ]{_load("y", "%q", 16)}{_step("t", "u", "by16", "y", 16)}
  %q_next = add i64 %q, 16
  %on = icmp ult i64 %q_next, %odd
  br i1 %on, label %head, label %start
start:
  %led = phi <2 x i64> [ zeroinitializer, %entry ], [ %t, %head ]
  %first = shufflevector <2 x i64> %led, <2 x i64> zeroinitializer, <{w // 8} x i32> {last}
  %enough = icmp ult i64 %odd, %length
  br i1 %enough, label %loop, label %join
loop:
  %pos = phi i64 [ %odd, %start ], [ %pos_next, %loop ]
{phis}{loop}
  %pos_next = add i64 %pos, {4 * w}
  %more = icmp ult i64 %pos_next, %length
  br i1 %more, label %loop, label %join
join:
{_end(w)}
  ret void
}}
"""


def _each(count: str, data_step: str, out_step: str, body: str, label: str) -> str:
    """A loop over %COUNT things: %LABEL_data and %LABEL_out move on from %data_in and %out_in of the enclosing text."""
    return f"""
{label}:
  %{label}_i = phi i64 [ 0, %{label}_before ], [ %{label}_next, %{label}_end ]
  %{label}_off = mul i64 %{label}_i, {data_step}
  %{label}_data = getelementptr i8, ptr %{label}_from, i64 %{label}_off
  %{label}_at = mul i64 %{label}_i, {out_step}
  %{label}_out = getelementptr i8, ptr %{label}_to, i64 %{label}_at{body}
  br label %{label}_end
{label}_end:
  %{label}_next = add i64 %{label}_i, 1
  %{label}_more = icmp ult i64 %{label}_next, {count}
  br i1 %{label}_more, label %{label}, label %{label}_done
{label}_done:"""


def rows(w: int) -> str:
    """@fold_rows: messages that lie in rows."""
    return f"""{declarations(w)}{fold(w)}
define void @fold_rows(ptr %row_from, i64 %pieces, ptr %constants, ptr %row_to, i64 %rows, i64 %stride) {{
row_before:
  br label %row
{_each("%rows", "%stride", "16", '''
  call void @fold(ptr %row_data, i64 %pieces, ptr %constants, ptr %row_out)''', "row")}
  ret void
}}
"""


def gathered(height: int, width: int, w: int) -> str:
    """@fold_gathered: messages of `height` strips of `width` bytes, which lie apart; %count messages in each of %groups groups."""
    length = height * width
    copies = "".join(
        f"""
  %s{i}_o = mul i64 %stride, {i}
  %s{i} = getelementptr i8, ptr %one_data, i64 %s{i}_o
  %d{i} = getelementptr i8, ptr %buffer, i64 {width * i}
  call void @llvm.memcpy.inline.p0.p0.i64(ptr %d{i}, ptr %s{i}, i64 {width}, i1 false)"""
        for i in range(height)
    )
    inner = f"""
  br label %one_before
one_before:
  %one_from = getelementptr i8, ptr %group_data, i64 0
  %one_to = getelementptr i8, ptr %group_out, i64 0
  br label %one
{_each("%count", "%step", "16", copies + f'''
  call void @fold(ptr %buffer, i64 {length // 16}, ptr %constants, ptr %one_out)''', "one")}"""
    return f"""{declarations(w)}declare void @llvm.memcpy.inline.p0.p0.i64(ptr, ptr, i64 immarg, i1 immarg)
{fold(w)}
define void @fold_gathered(ptr %group_from, ptr %constants, ptr %group_to, i64 %groups, i64 %group_step, i64 %count, i64 %step, i64 %stride) {{
group_before:
  %buffer = alloca [{length} x i8], align 32
  %size = mul i64 %count, 16
  br label %group
{_each("%groups", "%group_step", "%size", inner, "group")}
  ret void
}}
"""
