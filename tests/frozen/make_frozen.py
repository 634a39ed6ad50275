"""Writes the frozen reference values that the Rust tests read: layers, optim, schedules and network .json.

    pip install torch numpy
    python tests/frozen/make_frozen.py        # from anywhere; the files land beside this script

The committed values were made with Python 3.11, torch 2.15.0 and numpy 2.4.6; others may differ in the last digits of
an output, never in an input. Everything is float64, but every input tensor is exact in f32, so an f32 kernel starts
from the same numbers and only its own rounding separates it from these outputs.

A file is one object: case name -> {key: value}. A value is a number or a tensor {"shape": [...], "data": [row-major]}.
Weights are (inputs x outputs): y = x @ w + b. `dX` is the gradient in X of sum(y * dy), or of the loss.
Case names begin with `book_` or `torch_` where the presets differ (the semantics table in docs/numerics.md).
"""

import json
import math
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F

torch.set_default_dtype(torch.float64)
torch.set_num_threads(1)


def normal(rng, *shape, std=1.0):
    """Normal deviates rounded to multiples of 2^-12: exact in f32 and short in print."""
    return torch.from_numpy(np.round(std * rng.standard_normal(shape) * 4096) / 4096)


def leaf(t):
    return t.detach().clone().requires_grad_()


def differentiate(f, dy, *inputs):
    """f(*inputs) and the gradient of sum(f * dy) in each input."""
    leaves = [leaf(t) for t in inputs]
    y = f(*leaves)
    return [y.detach(), *torch.autograd.grad(y, leaves, grad_outputs=dy)]


def same(a, b):
    torch.testing.assert_close(a, b, rtol=1e-12, atol=1e-12)


def write(name, cases):
    """One key a line; floats in their shortest round-trip form; NaN and infinity are refused."""
    def encode(v):
        if isinstance(v, torch.Tensor):
            v = {"shape": list(v.shape), "data": (v.detach() + 0).flatten().tolist()}  # + 0: no -0.0
        return json.dumps(v, allow_nan=False)
    lines = lambda case: ",\n".join(f'    "{k}": {encode(v)}' for k, v in case.items())
    text = ",\n".join(f'  "{k}": {{\n{lines(case)}\n  }}' for k, case in cases.items())
    Path(__file__).resolve().with_name(name).write_text("{\n" + text + "\n}\n")


# ---- layers.json

def affine():
    rng = np.random.default_rng(1)
    x, w, b, dy = normal(rng, 5, 7), normal(rng, 7, 6), normal(rng, 6), normal(rng, 5, 6)
    y, dx, dw, db = differentiate(lambda x, w, b: x @ w + b, dy, x, w, b)
    return dict(x=x, w=w, b=b, dy=dy, y=y, dx=dx, dw=dw, db=db)


def activation(f, seed, special):
    """`special` values replace the first entries of x."""
    rng = np.random.default_rng(seed)
    x, dy = normal(rng, 4, 6, std=2.0), normal(rng, 4, 6)
    x[0, : len(special)] = torch.tensor(special)
    y, dx = differentiate(f, dy, x)
    assert f is not torch.relu or (dy[0, 0] != 0 and dx[0, 0] == 0)
    return dict(x=x, dy=dy, y=y, dx=dx)


def batch_norm(preset):
    """Three training batches, with the running values after each, then one batch at inference."""
    rng, book = np.random.default_rng(3), preset == "book"
    gamma, beta = 1 + normal(rng, 5, std=0.3), normal(rng, 5, std=0.5)
    spread, centre = torch.tensor([1.0, 0.25, 4.0, 1.0, 2.0]), torch.tensor([0.0, 1.0, -3.0, 5.0, 0.5])
    eps, mean, var = 1e-6 if book else 1e-5, torch.zeros(5), torch.zeros(5) if book else torch.ones(5)
    case = dict(gamma=gamma, beta=beta, eps=eps, momentum=0.1)

    def by_hand(x, gamma, beta):
        xc = x - x.mean(0)
        return gamma * xc / torch.sqrt((xc * xc).mean(0) + eps) + beta

    for i in (1, 2, 3):
        x, dy = spread * normal(rng, 6, 5) + centre, normal(rng, 6, 5)
        result = differentiate(by_hand, dy, x, gamma, beta)
        if book:
            mean, var = 0.9 * mean + 0.1 * x.mean(0), 0.9 * var + 0.1 * x.var(0, unbiased=False)
        else:  # F.batch_norm updates the running values in place
            f = lambda x, gamma, beta: F.batch_norm(x, mean, var, gamma, beta, training=True, momentum=0.1, eps=eps)
            for ours, theirs in zip(result, differentiate(f, dy, x, gamma, beta)):
                same(ours, theirs)
        names = ("x", "dy", "y", "dx", "dgamma", "dbeta", "running_mean", "running_var")
        case |= {f"{k}{i}": t.clone() for k, t in zip(names, (x, dy, *result, mean, var))}
    x = spread * normal(rng, 6, 5) + centre
    return case | dict(x_inference=x, y_inference=F.batch_norm(x, mean, var, gamma, beta, eps=eps))


def softmax_cross_entropy(large):
    rng = np.random.default_rng(4)
    logits, labels = normal(rng, 6, 10, std=2.0), torch.from_numpy(rng.integers(0, 10, 6))
    if large:  # row 2 is sure and wrong: a loss that is not a log-sum-exp overflows or saturates here
        logits[2, 1], logits[2, 7], labels[2] = 80.0, -90.0, 7
    loss, dlogits = differentiate(lambda z: F.cross_entropy(z, labels), torch.tensor(1.0), logits)
    probabilities = torch.softmax(logits, 1)
    same(dlogits, (probabilities - F.one_hot(labels, 10)) / 6)
    return dict(logits=logits, labels=labels, loss=loss.item(), probabilities=probabilities, dlogits=dlogits)


def dropout(preset):
    """`mask` is 1 where the element is kept."""
    rng, ratio = np.random.default_rng(5), 0.375
    x, dy, mask = normal(rng, 4, 6), normal(rng, 4, 6), torch.from_numpy((rng.random((4, 6)) > ratio).astype(float))
    training, inference = (1.0, 1 - ratio) if preset == "book" else (1 / (1 - ratio), 1.0)
    y, dx = differentiate(lambda x: x * mask * training, dy, x)
    return dict(ratio=ratio, x=x, mask=mask, dy=dy, y=y, dx=dx, y_inference=x * inference)


def layers():
    cases = dict(affine=affine(), relu=activation(torch.relu, 2, [0.0]),
                 sigmoid=activation(torch.sigmoid, 6, [0.0, 30.0, -30.0]),
                 tanh=activation(torch.tanh, 7, [0.0, 12.0, -12.0, 2.0**-12]),
                 softmax_cross_entropy=softmax_cross_entropy(large=False),
                 softmax_cross_entropy_large=softmax_cross_entropy(large=True))
    for preset in ("book", "torch"):
        cases |= {f"{preset}_batch_norm": batch_norm(preset), f"{preset}_dropout": dropout(preset)}
    return cases


# ---- optim.json

STEPS, SIZE = 12, 9
METHODS = {  # name: (torch class, its extra flag, options; eps as (book, torch))
    "sgd": (torch.optim.SGD, {}, dict(lr=0.01)),
    "momentum": (torch.optim.SGD, {}, dict(lr=0.01, momentum=0.9)),
    "nesterov": (torch.optim.SGD, dict(nesterov=True), dict(lr=0.01, momentum=0.9)),
    "adagrad": (torch.optim.Adagrad, {}, dict(lr=0.01, eps=(1e-7, 1e-10))),
    "rmsprop": (torch.optim.RMSprop, {}, dict(lr=0.01, rho=0.99, eps=(1e-7, 1e-8))),
    "adam": (torch.optim.Adam, {}, dict(lr=0.001, beta1=0.9, beta2=0.999, eps=(1e-7, 1e-8))),
    "adamw": (torch.optim.AdamW, {}, dict(lr=0.001, beta1=0.9, beta2=0.999, eps=(None, 1e-8))),
}


def problem():
    """A start and a fixed sequence of gradients, with elements that catch a wrong epsilon or a wrong order."""
    rng = np.random.default_rng(8)
    start, gradients = normal(rng, SIZE), normal(rng, STEPS, SIZE)
    gradients[0, 0] = 0.0                        # zero in the first step only
    gradients[:, 1] = float(np.float32(1e-6))    # always tiny: epsilon matters
    gradients[:, 2] = 50.0                       # always large
    gradients[3, 3] = 50.0                       # one spike
    gradients[:, 4] = 0.0                        # never moves, except by decay
    return start, gradients


def run_torch(method, start, gradients, rates, decay, o):
    make, flag, _ = METHODS[method]
    o = dict(o, **flag, weight_decay=decay)
    if "rho" in o:
        o["alpha"] = o.pop("rho")
    if "beta1" in o:
        o["betas"] = o.pop("beta1"), o.pop("beta2")
    w = leaf(start)
    optimizer = make([w], **o)
    for lr, g in zip(rates, gradients):
        optimizer.param_groups[0]["lr"] = lr
        w.grad = g.clone()
        optimizer.step()
        yield w.detach().clone()


def run_book(method, start, gradients, rates, decay, o):
    """The Book column of the table, line by line."""
    eps, a, rho, b1, b2 = (o.get(k) for k in ("eps", "momentum", "rho", "beta1", "beta2"))
    w, m, v, h = start, torch.zeros(SIZE), torch.zeros(SIZE), torch.zeros(SIZE)
    for t, (lr, g) in enumerate(zip(rates, gradients), start=1):
        g = g + decay * w
        if method == "sgd":
            w = w - lr * g
        elif method == "momentum":
            v = a * v - lr * g
            w = w + v
        elif method == "nesterov":
            w = w + a * a * v - (1 + a) * lr * g
            v = a * v - lr * g
        elif method == "adam":
            m, v = b1 * m + (1 - b1) * g, b2 * v + (1 - b2) * g * g
            w = w - lr * math.sqrt(1 - b2**t) / (1 - b1**t) * m / (torch.sqrt(v) + eps)
        else:
            h = h + g * g if method == "adagrad" else rho * h + (1 - rho) * g * g
            w = w - lr * g / (torch.sqrt(h) + eps)
        yield w


def optimizers():
    start, gradients = problem()
    cases = {"problem": dict(start=start, gradients=gradients)}
    suffixes = {"": 0.0, "_decay": 0.05, "_default": 0.01, "_rates": 0.0}  # `_rates`: the rate falls after six steps
    only = {"_default": ("adamw",), "_rates": ("momentum", "nesterov")}
    for column, (preset, run) in enumerate((("book", run_book), ("torch", run_torch))):
        for method, suffix in [(m, s) for m in METHODS for s in suffixes]:
            if (preset, method) == ("book", "adamw") or method not in only.get(suffix, METHODS):
                continue
            o = {k: v[column] if k == "eps" else v for k, v in METHODS[method][2].items()}
            lr = o.pop("lr")
            rates = [lr] * STEPS if suffix != "_rates" else [lr] * 6 + [0.3 * lr] * 6
            after = torch.stack(list(run(method, start, gradients, rates, suffixes[suffix], o)))
            assert suffixes[suffix] or (after[:, 4] == start[4]).all()
            cases[preset + "_" + method + suffix] = dict(
                lr=torch.tensor(rates), **o, weight_decay=suffixes[suffix], after=after)

    after = lambda name: cases[name]["after"]
    differ = lambda a, b: (after(a) - after(b)).abs().max() > 1e-4
    for method in ("sgd", "momentum", "nesterov"):  # at a constant rate the two forms are one
        same(after(f"torch_{method}"), after(f"book_{method}"))
        same(after(f"torch_{method}_decay"), after(f"book_{method}_decay"))
    for method in ("momentum_rates", "nesterov_rates", "adagrad", "rmsprop", "adam"):
        assert differ(f"torch_{method}", f"book_{method}"), method
    same(after("torch_adamw"), after("torch_adam"))
    assert differ("torch_adamw_decay", "torch_adam_decay")
    return cases


# ---- schedules.json

def schedules():
    def rates(make, epochs, **options):
        optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=0.1)
        schedule, values = make(optimizer, **options), []
        for _ in range(epochs):
            values.append(optimizer.param_groups[0]["lr"])
            optimizer.step()
            schedule.step()
        return torch.tensor(values)

    step = rates(torch.optim.lr_scheduler.StepLR, 26, step_size=5, gamma=0.3)
    cosine = rates(torch.optim.lr_scheduler.CosineAnnealingLR, 21, T_max=20, eta_min=0.001)
    same(step, torch.tensor([0.1 * 0.3 ** (e // 5) for e in range(26)]))
    same(cosine, torch.tensor([0.001 + 0.099 * (1 + math.cos(math.pi * e / 20)) / 2 for e in range(21)]))
    return {"step": dict(base=0.1, every=5, gamma=0.3, lr=step),
            "cosine": dict(base=0.1, period=20, minimum=0.001, lr=cosine)}


# ---- network.json

def network(variant):
    """6-8-8-4 on one batch of 7, ten SGD steps: `losses[k]` is the training loss after k steps, `logits` and gradients
    are the first pass's, `logits_final` is at inference. Batch norm undoes the bias before it: its db1, db2 are ~0."""
    rng, norm = np.random.default_rng(9), variant == "relu_batch_norm"
    x, labels, start = normal(rng, 7, 6), torch.from_numpy(rng.integers(0, 4, 7)), {}
    for i, n_in, n_out in ((1, 6, 8), (2, 8, 8), (3, 8, 4)):
        start |= {f"w{i}": normal(rng, n_in, n_out, std=math.sqrt(2 / n_in)), f"b{i}": normal(rng, n_out, std=0.1)}
    if norm:
        for i in (1, 2):
            start |= {f"gamma{i}": 1 + normal(rng, 8, std=0.2), f"beta{i}": normal(rng, 8, std=0.2)}
    running = {f"running_{k}{i}": torch.full((8,), v) for i in (1, 2) for k, v in (("mean", 0.0), ("var", 1.0)) if norm}
    p = {k: leaf(t) for k, t in start.items()}

    def forward(training):
        a = x
        for i in (1, 2):
            a = a @ p[f"w{i}"] + p[f"b{i}"]
            if norm:
                mean, var = running[f"running_mean{i}"], running[f"running_var{i}"]
                a = F.batch_norm(a, mean, var, p[f"gamma{i}"], p[f"beta{i}"], training, momentum=0.1, eps=1e-5)
            # an f32 run must fall on the same side of every relu
            assert variant == "sigmoid" or a.abs().min() > 1e-4, "choose another seed"
            a = torch.sigmoid(a) if variant == "sigmoid" else torch.relu(a)
        return a @ p["w3"] + p["b3"]

    optimizer, losses, first = torch.optim.SGD(p.values(), lr=0.1), [], {}
    for _ in range(10):
        logits = forward(training=True)
        loss = F.cross_entropy(logits, labels)
        optimizer.zero_grad()
        loss.backward()
        first = first or dict(logits=logits, **{f"d{k}": t.grad.clone() for k, t in p.items()})
        losses.append(loss.item())
        optimizer.step()
    final = {f"{k}_final": t.detach().clone() for k, t in (p | running).items()}
    final["logits_final"] = forward(training=False)
    losses.append(F.cross_entropy(forward(training=True), labels).item())

    assert losses[-1] < losses[0]
    for k in p:
        largest = first[f"d{k}"].abs().max()
        assert largest < 1e-12 if norm and k in ("b1", "b2") else largest > 1e-3, k
    return dict(x=x, labels=labels, lr=0.1, **start, **first, losses=torch.tensor(losses), **final)


if __name__ == "__main__":
    write("layers.json", layers())
    write("optim.json", optimizers())
    write("schedules.json", schedules())
    write("network.json", {v: network(v) for v in ("relu", "relu_batch_norm", "sigmoid")})
