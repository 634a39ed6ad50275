"""The training step beside the frameworks, in turns: milliseconds a step, and the ratio of the fastest rival to ours.

    ./run.sh step [--threads N] [--rounds R] [--only WORKLOADS]

A step gathers a random mini-batch, goes forward and backward and updates. In every round each engine does some blocks of steps of each
workload, and the best block counts; a round's ratio is the fastest rival over ours, and what is printed is the median over the
rounds. With one thread everything is pinned to one core. `--pair` times two of ours at once, each on a core of its own, beside one alone.
"""
import argparse, gzip, os, statistics, subprocess, sys, time

# hidden layers, batch, optimizer, batch norm, steps a block; E has tanh instead of ReLU, and pixels of which none is 0
WORKLOADS = {
    "A": ([100] * 4, 128, "sgd", False, 500),
    "B": ([100] * 4, 128, "adam", False, 500),
    "C": ([100] * 5, 100, "sgd", True, 500),
    "D": ([1024] * 3, 512, "adam", False, 20),
    "E": ([100] * 4, 128, "sgd", False, 500),
}

arguments = argparse.ArgumentParser()
arguments.add_argument("--threads", type=int, default=1)
arguments.add_argument("--rounds", type=int, default=5)
arguments.add_argument("--only", default="ABCDE", help="letters of the workloads to run")
arguments.add_argument("--without", default="", help="rivals to leave out, by commas")
arguments.add_argument("--pair", action="store_true", help="one and two runs of ours instead, on one and two cores")
arguments = arguments.parse_args()
arguments.only = arguments.only.replace(",", "")
if not set(arguments.only) <= set(WORKLOADS):
    raise SystemExit(f"--only takes letters of {''.join(WORKLOADS)}, not {arguments.only!r}")
threads = arguments.threads
cores = sorted(os.sched_getaffinity(0))


def ours(threads, core=None):
    pin = None if core is None else lambda: os.sched_setaffinity(0, {core})
    return subprocess.Popen([os.environ["STEPS"], str(threads)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, preexec_fn=pin)


def ask(process, name, steps):
    print(name, steps, file=process.stdin, flush=True)


def answer(process):
    return float(process.stdout.readline())


if arguments.pair:
    runs = [ours(1, core) for core in cores[:2]]
    print(f"two runs, one on each of cores {cores[:2]}, against one alone; {arguments.rounds} rounds; ms a step are medians")
    for name in arguments.only:
        steps, alone, both = WORKLOADS[name][4], [], []
        for _ in range(arguments.rounds):
            for run in runs:
                ask(run, name, steps)
                alone.append(answer(run))
            for run in runs:
                ask(run, name, steps)
            both += [answer(run) for run in runs]
        alone, both = statistics.median(alone), statistics.median(both)
        print(f"{name}   alone {alone:.3f}   together {both:.3f}   throughput of two {2 * alone / both:.2f} times one")
    sys.exit()

for variable in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "RAYON_NUM_THREADS"):
    os.environ[variable] = str(threads)
if threads == 1:
    os.sched_setaffinity(0, {cores[0]})

import numpy as np, torch, torch.nn as nn, torch.nn.functional as F
import jax, jax.numpy as jnp

torch.set_num_threads(threads)
random = np.random.default_rng(0)


def idx(name, header):
    with gzip.open(os.path.join(os.environ["MNIST_DIR"], name)) as file:
        return np.frombuffer(file.read(), np.uint8)[header:]


if "MNIST_DIR" in os.environ:
    X = (idx("train-images-idx3-ubyte.gz", 16).reshape(-1, 784) / np.float32(255)).astype("f4")
    T = idx("train-labels-idx1-ubyte.gz", 8).astype("i8")
else:  # as many numbers, of which a net can learn the mean
    T = random.integers(0, 10, 60000)
    X = (0.1 * random.standard_normal((60000, 784)) + 0.05 * T[:, None]).astype("f4")


X_DENSE = (1 / 255 + 0.5 * X + 0.5 * random.random(X.shape, "f4")).astype("f4")


def torch_step(hidden, batch, optimizer, batch_norm, mode, dense):
    torch.manual_seed(0)
    layers, width = [], 784
    for units in hidden:
        layers += [nn.Linear(width, units)] + ([nn.BatchNorm1d(units)] if batch_norm else []) + [nn.Tanh() if dense else nn.ReLU()]
        width = units
    net = nn.Sequential(*layers, nn.Linear(width, 10))
    rule, rate = (torch.optim.SGD, 0.01) if optimizer == "sgd" else (torch.optim.Adam, 0.001)
    update = rule(net.parameters(), rate, **({} if mode == "eager" else {"fused": True}))

    def loss(x, t):
        return F.cross_entropy(net(x), t)

    if mode == "compile":
        loss = torch.compile(loss)
    x, t = torch.from_numpy(X_DENSE if dense else X), torch.from_numpy(T)

    def step():
        m = torch.randint(0, 60000, (batch,))
        update.zero_grad(set_to_none=True)
        value = loss(x[m], t[m])
        value.backward()
        update.step()
        return value.detach()

    return step


def jax_step(hidden, batch, optimizer, batch_norm, dense):
    pictures = X_DENSE if dense else X
    key, parameters, width = jax.random.PRNGKey(0), [], 784
    for units in hidden + [10]:
        key, sub = jax.random.split(key)
        weights = jax.random.normal(sub, (width, units)) * np.sqrt(2 / width)
        parameters.append((weights, jnp.zeros(units), jnp.ones(units), jnp.zeros(units)))
        width = units

    def loss(parameters, x, t):
        for i, (w, b, gamma, beta) in enumerate(parameters):
            x = x @ w + b
            if i + 1 < len(parameters):
                if batch_norm:
                    x = (x - x.mean(0)) * jax.lax.rsqrt(x.var(0) + 1e-5) * gamma + beta
                x = jnp.tanh(x) if dense else jax.nn.relu(x)
        return -jnp.take_along_axis(jax.nn.log_softmax(x), t[:, None], 1).mean()

    @jax.jit
    def update(p, m, v, count, x, t):
        value, g = jax.value_and_grad(loss)(p, x, t)
        if optimizer == "sgd":
            return jax.tree.map(lambda p, g: p - 0.01 * g, p, g), m, v, count, value
        count = count + 1
        m = jax.tree.map(lambda m, g: 0.9 * m + 0.1 * g, m, g)
        v = jax.tree.map(lambda v, g: 0.999 * v + 0.001 * g * g, v, g)
        rate = lambda p, m, v: p - 0.001 * (m / (1 - 0.9**count)) / (jnp.sqrt(v / (1 - 0.999**count)) + 1e-8)
        return jax.tree.map(rate, p, m, v), m, v, count, value

    zeros = jax.tree.map(jnp.zeros_like, parameters)
    state = [parameters, zeros, zeros, jnp.float32(0)]

    def step():
        m = random.integers(0, 60000, batch)
        *state[:], value = update(*state, pictures[m], T[m])
        jax.block_until_ready(value)
        jax.block_until_ready(state[0])
        return value

    return step


def learns(name, engine, step):
    """Checked before it is timed. PyTorch's small initial weights and SGD take a thousand steps to leave the plateau."""
    first = sum(float(step()) for _ in range(50))
    for _ in range(100):
        if (last := sum(float(step()) for _ in range(50))) < 0.98 * first:
            return
    raise SystemExit(f"{engine}, workload {name}: the loss went from {first / 50} to {last / 50}")


def best_ms(step, steps):
    best = float("inf")
    for _ in range(3):
        start = time.perf_counter()
        for _ in range(steps):
            step()
        best = min(best, (time.perf_counter() - start) / steps)
    return best * 1e3


def flops(hidden, batch):
    """Of the step's products: forward, dW, and dX of all layers but the first."""
    widths = [784] + hidden + [10]
    pairs = [a * b for a, b in zip(widths, widths[1:])]
    return 2 * batch * (3 * sum(pairs) - pairs[0])


mine = ours(threads)
engines = {}
for name in arguments.only:
    hidden, batch, optimizer, batch_norm, steps = WORKLOADS[name]
    rivals = {f"torch {mode}": torch_step(hidden, batch, optimizer, batch_norm, mode, name == "E") for mode in ("eager", "fused", "compile")}
    rivals["jax jit"] = jax_step(hidden, batch, optimizer, batch_norm, name == "E")
    rivals = {engine: step for engine, step in rivals.items() if engine not in arguments.without.split(",")}
    for engine, step in rivals.items():
        learns(name, engine, step)
    engines[name] = rivals
ask(mine, "peak", 0)
peak = answer(mine)
print(f"threads {threads}, FMA peak of one {peak:.1f} GFLOP/s; {arguments.rounds} rounds in turns; ms a step are medians")
for name, rivals in engines.items():
    hidden, batch, _, _, steps = WORKLOADS[name]
    rows = []
    for _ in range(arguments.rounds):
        ask(mine, name, steps)
        row = {"ours": answer(mine)}
        for engine, step in rivals.items():
            row[engine] = best_ms(step, steps)
            if threads > 1:
                time.sleep(0.05)  # the threads of these libraries spin on for a while
        rows.append(row)
    middle = {engine: statistics.median(row[engine] for row in rows) for engine in rows[0]}
    ratios = sorted(min(ms for engine, ms in row.items() if engine != "ours") / row["ours"] for row in rows)
    floor = flops(hidden, batch) / peak / threads / 1e6
    print(f"{name}   ours {middle['ours']:.3f} (floor of the arithmetic {floor:.3f}: {100 * floor / middle['ours']:.0f} %)",
          *(f"  {engine} {ms:.3f}" for engine, ms in middle.items() if engine != "ours"),
          f"   fastest / ours {statistics.median(ratios):.2f} ({ratios[0]:.2f}-{ratios[-1]:.2f})", flush=True)
mine.stdin.close()
