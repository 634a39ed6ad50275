"""Ours beside the rivals, in turns: GFLOP/s by shape and the ratio to the fastest rival.

    ./run.sh gemm [--threads N] [--rounds R] [--only SUBSTRING]

In every round each engine computes each shape for a moment; a round's ratio is ours over the fastest rival of that round, and
what is printed is the median over the rounds. With one thread everything is pinned to one core.
"""
import argparse, os, statistics, subprocess, time

# name, m, k, n, is A a transposed view, is B a transposed view
SHAPES = [
    ("forward 100x784x100", 100, 784, 100, 0, 0), ("forward 100x100x100", 100, 100, 100, 0, 0),
    ("forward 100x100x10", 100, 100, 10, 0, 0), ("dW 784x100x100", 784, 100, 100, 1, 0),
    ("dW 100x100x100", 100, 100, 100, 1, 0), ("dX 100x100x100", 100, 100, 100, 0, 1),
    ("dX 100x100x784", 100, 100, 784, 0, 1), ("1024x784x512", 1024, 784, 512, 0, 0),
    ("256^3", 256, 256, 256, 0, 0), ("512^3", 512, 512, 512, 0, 0),
    ("1024^3", 1024, 1024, 1024, 0, 0), ("2048^3", 2048, 2048, 2048, 0, 0),
    ("37x211x53", 37, 211, 53, 0, 0), ("1x784x100", 1, 784, 100, 0, 0),
    ("1000x333x777", 1000, 333, 777, 0, 0), ("4096x64x4096", 4096, 64, 4096, 0, 0),
] + [(f"{n}^3", n, n, n, 0, 0) for n in (16, 32, 48, 64, 96, 128, 192, 384, 768, 1536)]
RUST = ["ours", "matrixmultiply", "faer", "gemm"]

arguments = argparse.ArgumentParser()
arguments.add_argument("--threads", type=int, default=1)
arguments.add_argument("--rounds", type=int, default=5)
arguments.add_argument("--milliseconds", type=int, default=150, help="time of one engine on one shape in one round")
arguments.add_argument("--only", default="", help="part of the names of the shapes to run")
arguments = arguments.parse_args()
threads = arguments.threads

# Before the libraries read them: the number of threads, and, for one, a core of our own.
for variable in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "RAYON_NUM_THREADS", "MATMUL_NUM_THREADS"):
    os.environ[variable] = str(threads)
if threads == 1:
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})

import numpy as np, torch

torch.set_num_threads(threads)
rates = subprocess.Popen([os.environ["RATES"], str(threads)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def rust(engine, shape=(0,) * 5):
    print(engine, *shape, arguments.milliseconds, file=rates.stdin, flush=True)
    return float(rates.stdout.readline())


def best_rate(call, flops):
    call(); call()
    calls = max(1, int(1e8 / flops))
    best, end = float("inf"), time.perf_counter() + arguments.milliseconds / 1000
    while time.perf_counter() < end:
        start = time.perf_counter()
        for _ in range(calls):
            call()
        best = min(best, (time.perf_counter() - start) / calls)
    return flops / best / 1e9


def python_engines(m, k, n, a_transposed, b_transposed):
    random = np.random.default_rng(1)
    a = random.uniform(-1, 1, (k, m) if a_transposed else (m, k)).astype("f4")
    b = random.uniform(-1, 1, (n, k) if b_transposed else (k, n)).astype("f4")
    c = np.zeros((m, n), "f4")
    ta, tb, tc = torch.from_numpy(a), torch.from_numpy(b), torch.from_numpy(c)
    a, b = (a.T if a_transposed else a), (b.T if b_transposed else b)
    ta, tb = (ta.T if a_transposed else ta), (tb.T if b_transposed else tb)
    want, bound = a.astype("f8") @ b.astype("f8"), (k + 3) * 2.0**-23 * (abs(a).astype("f8") @ abs(b).astype("f8"))
    for name, call in (("OpenBLAS", lambda: np.matmul(a, b, out=c)), ("MKL", lambda: torch.mm(ta, tb, out=tc))):
        c.fill(np.nan)
        call()
        assert (abs(c - want) <= bound).all(), f"{name} is wrong"
        yield name, call


peak = max(rust("peak") for _ in range(3))
print(f"threads {threads}, FMA peak of one {peak:.1f} GFLOP/s; {arguments.rounds} rounds in turns; GFLOP/s are medians\n")
shapes = [shape for shape in SHAPES if arguments.only in shape[0]]
if not shapes:
    raise SystemExit(f"no shape has {arguments.only!r} in its name; they are {', '.join(shape[0] for shape in SHAPES)}")
with torch.inference_mode():
    calls = {shape: list(python_engines(*shape[1:])) for shape in shapes}
    seen = {shape: [] for shape in shapes}
    for _ in range(arguments.rounds):
        for shape in shapes:
            flops = 2 * shape[1] * shape[2] * shape[3]
            row = {engine: rust(engine, shape[1:]) for engine in RUST}
            for name, call in calls[shape]:
                row[name] = best_rate(call, flops)
                if threads > 1:
                    time.sleep(0.05)  # the threads of these libraries spin on for a while
            seen[shape].append(row)
print(f"{'shape (m x k x n)':21}{'ours':>8}{'of peak':>8}", *(f"{name:>9.9}" for name in list(seen[shapes[0]][0])[1:]), "   ours / fastest")
for shape in shapes:
    rows = seen[shape]
    middle = {name: statistics.median(row[name] for row in rows) for name in rows[0]}
    ratios = sorted(row["ours"] / max(rate for name, rate in row.items() if name != "ours") for row in rows)
    fastest = max((name for name in middle if name != "ours"), key=middle.get)
    print(f"{shape[0]:21}{middle['ours']:8.1f}{100 * middle['ours'] / peak / threads:7.0f}%",
          *(f"{middle[name]:9.1f}" for name in list(middle)[1:]),
          f"   {statistics.median(ratios):.2f} ({ratios[0]:.2f}-{ratios[-1]:.2f}) {fastest}")
rates.stdin.close()
