#!/usr/bin/env python3
"""What the compiler made of the hot kernels: registers, spills, occupancy, instructions by class on the hot path, and the bounds that follow.

  scripts/sass.py [--arch sm_90] [--tsv FILE] [--markdown] OBJECT.cu.o...     the objects that make cuda leaves (with their logs)

Needs cuobjdump of the toolkit and c++filt. bench/gpu/sass.tsv is what it wrote; bench/gpu/roofline.py reads that.

Hot path: of a loop, from its head round to it; of a kernel without a loop, from the first instruction to the last. Of all
paths the one with the most mma instructions, then the most bytes in 16-byte accesses, then the fewest instructions: so
neither the soft-cap, nor masks, nor unaligned rows, nor the ends of rows count. Slow paths of division and root are calls
and count as one instruction.

Rates, for an SM of compute capability 9.0 and a clock: four schedulers of one warp instruction each; 128 lanes for f32, 64 for
integers, comparisons, conversions, f64, 16 for exp2 and the like (CUDA programming guide, arithmetic instructions); 128
bytes of shared memory; mma.sync 0.629 of 4,096 bf16 operations (arXiv 2402.13499).
"""
import argparse
import re
import subprocess
import sys

MMA_FLOP = 16 * 8 * 16 * 2
MMA_CLOCKS = MMA_FLOP / (4096 / 4 * 0.629)  # of one scheduler's tensor core

ATTN = {"fwd": lambda d: ((128 if d <= 128 else 64) + 2 * (64 if d <= 96 else 32)) * d * 2,
        "dq": lambda d: (2 * (128 if d <= 128 else 64) + 4 * (32 if d <= 128 else 16)) * d * 2 + 8 * (128 if d <= 128 else 64),
        "dkv": lambda d: (2 * (128 if d <= 64 else 64) + 4 * (32 if d <= 128 else 16)) * d * 2 + 16 * (32 if d <= 128 else 16)}

# One half of the warps makes dv and one dk: the path has both. Of its mma a warp of dv runs a half, one of dk three quarters (which
# is what its scheduler's tensor core waits for), useful is a half; of its ldmatrix a half and five sixths.
SPLIT = ("attn_dkv_kernel<256>",)

# kernel (of its demangled name), threads of a block, dynamic shared memory
HOT = [(r"attn_(fwd|dq|dkv)_kernel<(\d+)>", lambda m: 256 if m[1] == "dkv" and m[2] == "256" else 128, lambda m: ATTN[m[1]](int(m[2])))]
HOT += [(p, lambda m, t=t: t(m) if callable(t) else t, lambda m: 0) for p, t in (
    (r"attn_f32_(fwd|dq|dkv)\w*<(\w+), (\d+)>", 128),
    (r"delta_kernel<.*>|attn_plan\w*(<.*>)?", 256),
    (r"rmsnorm_(fwd|bwd)_kernel<(__nv_bfloat16|float), true, (\d), (\d+)>", lambda m: int(m[4])),
    (r"headnorm_(fwd|bwd)_kernel<__nv_bfloat16, true, (1|2)>", 256),
    (r"rope_kernel<(__nv_bfloat16|float), true>", 256),
    (r"glu_(fwd|bwd)_kernel<(__nv_bfloat16|float), true, (\(ax_act_fn\))?0>", 256),
    (r"embed_(fwd|bwd)_kernel<(__nv_bfloat16|float), true(, float)?>", 256),
    (r"embed_parts_kernel<true, float>", 256),
    (r"head_(rows|gather|scatter)<__nv_bfloat16, true>", lambda m: 1024 if m[1] == "rows" else 256),
    (r"adamw_kernel<__nv_bfloat16, true>", 256),
    (r"round_kernel<(__nv_bfloat16|q8|float), (true|false), true>", 256),
    (r"sumsq_kernel<.*true>", 256),
    (r"cast_kernel<(__nv_bfloat16, float|float, __nv_bfloat16), true>", 256),
    (r"axpy_kernel<float, (__nv_bfloat16|float), true>", 256),
    (r"columns_kernel<__nv_bfloat16, true>", 256),
    (r"add_parts_kernel<float>", 512),
)]


# --- instructions --------------------------------------------------------------------------------------------------------

def width(op):
    """Bytes a lane moves."""
    for part, n in ((".128", 16), (".64", 8), (".U16", 2), (".S16", 2), (".U8", 1), (".S8", 1), (".16", 2)):
        if part in op:
            return n
    return 4


def kind(op):
    head = op.split(".")[0]
    if head in ("HMMA", "LDSM", "LDGSTS", "LDG", "STG", "LDS", "STS", "LDL", "STL", "MUFU", "BAR"):
        return head
    if head in ("FFMA", "FADD", "FMUL", "FFMA2", "FADD2", "FMUL2"):
        return "FP32"
    if head in ("DFMA", "DADD", "DMUL", "DSETP"):
        return "FP64"
    if head in ("SHFL", "VOTE", "MATCH", "REDUX"):
        return "SHFL"
    if head in ("F2F", "F2FP", "F2I", "I2F", "I2FP", "FRND"):
        return "CVT"
    if head in ("BRA", "EXIT", "BSSY", "BSYNC", "RET", "CALL", "WARPSYNC", "BREAK", "BRX", "NOP", "YIELD", "DEPBAR", "LDGDEPBAR"):
        return "CTRL"
    if head.startswith("U") or head in ("R2UR", "S2UR", "REDUX"):
        return "UNI"
    if head.startswith("IMAD") or head == "IDP":
        return "IMAD"
    return "INT"


# clocks of a scheduler that one warp instruction keeps its unit busy, and which unit that is
UNIT = {"HMMA": ("tensor", MMA_CLOCKS), "FP32": ("fma", 1), "IMAD": ("fma", 2), "INT": ("alu", 2), "CVT": ("mufu", 4), "MUFU": ("mufu", 8),
        "FP64": ("fp64", 2), "SHFL": ("smem", 4), "UNI": ("uni", 2)}


def unit_clocks(ops):
    """Clocks by unit of one warp on the path; all four schedulers share shared memory's 128 bytes and the L1's 64 a clock."""
    busy = {"issue": float(len(ops))}
    for op in ops:
        k = kind(op)
        if k in UNIT:
            unit, n = UNIT[k]
            if k == "CVT" and ".BF16" in op:
                unit, n = "alu", 2
        elif k == "LDSM":
            unit, n = "smem", 4 * 4 * int(re.search(r"\.(\d)$|\.M88\.(\d)", op + ".4").group(0)[-1]) / 4
        elif k in ("LDS", "STS"):
            unit, n = "smem", 4 * max(1, width(op) / 4)
        elif k in ("LDG", "STG", "LDGSTS", "LDL", "STL"):
            unit, n = "l1", 4 * max(1, width(op) * 32 / 64 / 2)
        else:
            continue
        busy[unit] = busy.get(unit, 0) + n
    return busy


# --- programs ------------------------------------------------------------------------------------------------------------

class Code:
    """One kernel: instructions by number, and which may come next."""

    def __init__(self, lines):
        self.ops, self.text, at = [], [], {}
        for address, text in lines:
            at[address] = len(self.ops)
            self.text.append(text)
            self.ops.append(re.sub(r"^@!?U?P\w+ ", "", text).split()[0].rstrip(";"))
        self.next = []
        for i, text in enumerate(self.text):
            op, sure = self.ops[i].split(".")[0], not text.startswith("@")
            target = re.search(r"0x[0-9a-f]+", text.split(",")[-1]) if op == "BRA" else None
            to = [] if sure and op in ("BRA", "EXIT", "RET", "BRX") else [i + 1]
            if "BRA" == op and sure and re.search(r"\bU?P\d|!U?P\d", text):  # BRA.U !UP0, 0x..; BRA !P0, P1, 0x...
                to = [i + 1]
            if target and int(target.group(0), 16) in at:
                to.append(at[int(target.group(0), 16)])
            self.next.append([t for t in to if t < len(lines)])
        while self.ops and self.ops[-1] in ("NOP", "BRA") and self.next[-1] in ([len(self.ops) - 1], []):
            self.ops.pop(), self.text.pop(), self.next.pop()

    def blocks(self):
        """Straight pieces of the program, in the order of a depth-first search from the entry that finishes them last to first."""
        starts = {0} | {t for i, to in enumerate(self.next) if to != [i + 1] for t in to} | {i + 1 for i, to in enumerate(self.next) if to != [i + 1]}
        starts = sorted(s for s in starts if s < len(self.ops))
        self.end = dict(zip(starts, starts[1:] + [len(self.ops)]))
        self.to = {b: [t for t in self.next[e - 1] if t in self.end] for b, e in self.end.items()}
        done, order, stack = {0}, [], [(0, iter(self.to[0]))]
        while stack:
            b, more = stack[-1]
            t = next((t for t in more if t not in done), None)
            if t is None:
                order.append(b)
                stack.pop()
            else:
                done.add(t)
                stack.append((t, iter(self.to[t])))
        self.order = order[::-1]

    def loops(self):
        """head -> blocks of the loop, of all natural loops; their back edges in self.back."""
        self.blocks()
        into = {b: [f for f in self.order if b in self.to[f]] for b in self.order}
        dom = {b: set(self.order) for b in self.order}
        dom[0] = {0}
        changed = True
        while changed:
            changed = False
            for b in self.order[1:]:
                new = set.intersection(*(dom[f] for f in into[b])) | {b}
                if new != dom[b]:
                    dom[b], changed = new, True
        self.back = {(f, t) for f in self.order for t in self.to[f] if t in dom[f]}
        out = {}
        for f, head in self.back:
            body, todo = out.setdefault(head, {head}), [f]
            while todo:
                b = todo.pop()
                if b not in body:
                    body.add(b)
                    todo += into[b]
        return out

    def worth(self, b):
        ops = self.ops[b:self.end[b]]
        moved = sum(width(op) for op in ops if kind(op) in ("LDG", "STG", "LDGSTS") and width(op) >= 8)
        return (sum(kind(op) == "HMMA" for op in ops), moved, -len(ops))

    def path(self, head, body):
        """The hot path's instructions: from head round to an edge back to it or, with the whole program as body, to its end."""
        best, via, whole, at = {}, {}, len(body) == len(self.order), {b: n for n, b in enumerate(self.order)}
        for b in sorted(body, key=lambda b: -at[b]):
            ends = [((0, 0, 0), None)] if (whole and not self.to[b]) or (not whole and head in self.to[b]) else []
            ends += [(best[t], t) for t in self.to[b] if t in best and (b, t) not in self.back and t != head and at[t] > at[b]]
            if ends:
                value, via[b] = max(ends, key=lambda x: x[0])
                best[b] = tuple(x + y for x, y in zip(self.worth(b), value))
        out, b = [], head if head in best else None
        while b is not None:
            out += range(b, self.end[b])
            b = via[b]
        return out


def hot(code):
    """[(name, instruction numbers)]: the main loop with mma; else the loops with wide accesses; else all of it."""
    loops = [(body, code.path(head, body)) for head, body in sorted(code.loops().items())]
    mma = [sum(kind(code.ops[i]) == "HMMA" for i in path) for _, path in loops]
    if mma and max(mma):
        return [("loop", min((x for x, n in zip(loops, mma) if 2 * n >= max(mma)), key=lambda x: len(x[0]))[1])]
    wide = [x for x in loops if any(kind(code.ops[i]) in ("LDG", "STG") and width(code.ops[i]) >= 8 for i in x[1])]
    inner = [x for x in wide if not any(y[0] < x[0] for y in wide)]
    if inner:
        return [("loop" if len(inner) == 1 else "loop %d" % (n + 1), x[1]) for n, x in enumerate(inner)]
    return [("all", code.path(0, set(code.order)))]


def kernels(path, arch):
    """name -> Code of an object."""
    out, name, lines = {}, None, []
    text = subprocess.run(["cuobjdump", "-arch", arch, "-sass", path], capture_output=True, text=True, check=True).stdout
    for line in text.splitlines() + ["\t\tFunction : "]:
        m = re.match(r"\s+Function : (.*)", line)
        if m:
            if name and lines:
                out[name] = Code(lines)
            name, lines = m[1], []
            continue
        m = re.match(r"\s+/\*([0-9a-f]{4,})\*/\s+(.*?)\s*;\s+/\*", line)
        if m:
            lines.append((int(m[1], 16), m[2].strip("{} ")))
    return out


def reports(log, arch):
    """name -> registers, spilled bytes, static shared memory, of ptxas -v."""
    out, name, right, spill = {}, None, False, 0
    for line in open(log):
        m = re.search(r"Compiling entry function '(\w+)' for '(\w+)'", line)
        if m:
            name, right, spill = m[1], m[2] == arch, 0
        m = re.search(r"(\d+) bytes spill stores, (\d+) bytes spill loads", line)
        if m:
            spill = int(m[1]) + int(m[2])
        m = re.search(r"Used (\d+) registers", line)
        if m and right and name:
            smem = re.search(r"(\d+) bytes smem", line)
            out[name] = (int(m[1]), spill, int(smem[1]) if smem else 0)
    return out


def blocks_per_sm(registers, smem, threads):
    """9.0: 64 Ki registers in portions of 256 a warp, 228 KiB of shared memory of which each block takes 1 more, 64 warps, 32 blocks."""
    warps = threads // 32
    a_warp = (registers * 32 + 255) // 256 * 256
    return min(65536 // 4 // a_warp * 4 // warps, 228 * 1024 // (smem + 1024), 64 // warps, 32)


def measure(code, name, threads, dyn, report):
    registers, spill, smem = report
    n_block = blocks_per_sm(registers, smem + dyn, threads)
    for part, path in hot(code):
        ops = [code.ops[i] for i in path]
        count = {}
        for op in ops:
            k = kind(op)
            if k in ("LDG", "STG", "LDGSTS"):
                k += "%d" % (width(op) * 8)
            count[k] = count.get(k, 0) + 1
        read = sum(width(op) for op in ops if kind(op) in ("LDG", "LDGSTS"))
        written = sum(width(op) for op in ops if kind(op) == "STG")
        busy, mma, ldsm = unit_clocks(ops), count.get("HMMA", 0), count.get("LDSM", 0)
        useful = mma
        if name in SPLIT:
            useful, count["HMMA"], count["LDSM"] = mma // 2, mma * 5 // 8, ldsm * 2 // 3
            busy["tensor"] *= 3 / 4
            busy["smem"] -= 16 * ldsm / 3
            busy["issue"] -= mma / 4 + ldsm / 3
        most = max(busy, key=busy.get)
        row = {"kernel": name, "path": part, "registers": registers, "spilled": spill, "shared": smem + dyn, "threads": threads, "blocks": n_block,
               "warps": n_block * threads // 32, "instructions": round(busy["issue"]), "read": read, "written": written,
               "in_flight_kib": round(read * 32 * n_block * threads / 32 / 1024, 1), "bound": most, "clocks": round(busy[most], 1)}
        for u in ("issue", "tensor", "smem", "mufu", "fma", "alu", "l1", "fp64"):
            row["u_" + u] = round(busy.get(u, 0), 1)
        for k in ("HMMA", "LDSM", "LDGSTS128", "LDG128", "LDG64", "LDG32", "STG128", "STG64", "STG32", "LDS", "STS", "LDL", "STL", "MUFU", "FP32", "FP64", "CVT", "IMAD", "INT", "UNI", "SHFL", "BAR", "CTRL"):
            row["n_" + k] = count.pop(k, 0)
        row["n_narrow"] = sum(count.values())
        row["mma_share"] = round(row["n_HMMA"] / busy["issue"], 3)
        row["peak_overlapped"] = round(useful * MMA_FLOP / (busy[most] * 1024), 3)
        # tensor cores and shared memory side by side; then, after them, the rest
        serial = max(busy.get("tensor", 0), busy.get("smem", 0)) + max(busy.get("mufu", 0), busy.get("fma", 0) + busy.get("alu", 0) / 2)
        row["peak_serial"] = round(useful * MMA_FLOP / (serial * 1024), 3) if mma else 0
        row["bytes_clock"] = round(4 * 32 * (read + written) / busy[most], 1)
        yield row


def main():
    p = argparse.ArgumentParser()
    p.add_argument("--arch", default="sm_90")
    p.add_argument("--tsv")
    p.add_argument("--markdown", action="store_true")
    p.add_argument("--dump", metavar="KERNEL", help="print the hot path of kernels whose name has this")
    p.add_argument("objects", nargs="+")
    opt = p.parse_args()
    rows = []
    for path in opt.objects:
        said, codes = reports(path + ".log", opt.arch), kernels(path, opt.arch)
        names = dict(zip(codes, subprocess.run(["c++filt", "-p"], input="\n".join(codes), capture_output=True, text=True, check=True).stdout.split("\n")))
        for mangled, code in codes.items():
            name = names[mangled].replace("(bool)1", "true").replace("(bool)0", "false").replace("(int)", "")
            name = re.sub(r"^\(anonymous namespace\)::|^void ", "", name)
            for pattern, threads, dyn in HOT:
                m = re.fullmatch(pattern, name)
                if m and mangled in said:
                    rows += measure(code, name.replace("__nv_bfloat16", "bf16"), threads(m), dyn(m), said[mangled])
                    if opt.dump and opt.dump in name.replace("__nv_bfloat16", "bf16"):
                        for part, at in hot(code):
                            print(name, part, *("%5d %s" % (i, code.text[i]) for i in at), sep="\n")
    if not rows:
        sys.exit("sass.py: none of the hot kernels is in these objects")
    rows.sort(key=lambda r: (not r["kernel"].startswith("attn"), re.sub(r"\d+", lambda m: m[0].zfill(4), r["kernel"]), r["path"]))
    if opt.tsv:
        with open(opt.tsv, "w") as f:
            print("# %s; scripts/sass.py says what the columns are" % opt.arch, file=f)
            print(*rows[0], sep="\t", file=f)
            for r in rows:
                print(*r.values(), sep="\t", file=f)
    print_tables(rows) if opt.markdown or not opt.tsv else None


def print_tables(rows):
    mma = [r for r in rows if r["n_HMMA"]]
    if mma:
        print("| kernel | registers, spilled | blocks, warps an SM | instructions a step | mma | LDSM | cp.async | MUFU | f32 | integer | convert | barriers | mma's share of issue | tensor / smem / issue clocks | of peak: serial, overlapped |")
        print("|" + "---|" * 15)
        for r in mma:
            print("| %s | %d, %d | %d, %d | %d | %d | %d | %d | %d | %d | %d | %d | %d | %.0f %% | %.0f / %.0f / %.0f | %.0f %%, %.0f %% |" % (
                r["kernel"], r["registers"], r["spilled"], r["blocks"], r["warps"], r["instructions"], r["n_HMMA"], r["n_LDSM"], r["n_LDGSTS128"], r["n_MUFU"], r["n_FP32"],
                r["n_IMAD"] + r["n_INT"] + r["n_UNI"], r["n_CVT"], r["n_BAR"], 100 * r["mma_share"], r["u_tensor"], r["u_smem"], r["u_issue"], 100 * r["peak_serial"], 100 * r["peak_overlapped"]))
        print()
    print("| kernel | path | registers, spilled | blocks, warps an SM | instructions | 16-byte loads, stores | narrower | MUFU | f32 | integer | bytes in, out a thread | KiB in flight an SM | bound by | bytes a clock and SM |")
    print("|" + "---|" * 14)
    for r in rows:
        if not r["n_HMMA"]:
            narrow = sum(r["n_" + k] for k in ("LDG64", "LDG32", "STG64", "STG32", "narrow"))
            print("| %s | %s | %d, %d | %d, %d | %d | %d, %d | %d | %d | %d | %d | %d, %d | %.0f | %s | %.0f |" % (
                r["kernel"], r["path"], r["registers"], r["spilled"], r["blocks"], r["warps"], r["instructions"], r["n_LDG128"], r["n_STG128"], narrow, r["n_MUFU"],
                r["n_FP32"], r["n_IMAD"] + r["n_INT"] + r["n_UNI"], r["read"], r["written"], r["in_flight_kib"], r["bound"], r["bytes_clock"]))


main()
