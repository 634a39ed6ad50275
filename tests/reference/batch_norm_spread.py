"""The spread over many seeds of one row of chapter6.json: batch norm at weight scale 0.002154, accuracy at step 190.

The five seeds in chapter6.json all ended between 0.986 and 0.995. That is not how this network behaves at that scale: about a
third of all seeds have one or two digits still unlearnt at step 190 and end near 0.9 or 0.8. This script is the experiment in
NumPy, float64, from the chapter's equations, over 240 seeds; batch_norm_spread.json holds what it gave (NumPy 2.4).

usage: MNIST_DIR=… python batch_norm_spread.py [FIRST_SEED COUNT]      prints a JSON list
"""
import gzip, json, os, sys
import numpy as np

DIR, N, BATCH, STEPS, LR = os.environ["MNIST_DIR"], 1000, 100, 191, 0.01
SIZES = [784] + [100] * 5 + [10]
SCALE = 10 ** (-4 * 10 / 15)


def read(name, header, count):
    with gzip.open(os.path.join(DIR, name)) as file:
        return np.frombuffer(file.read(header + count), np.uint8)[header:]


X = read("train-images-idx3-ubyte.gz", 16, N * 784).reshape(N, 784) / 255.0
T = read("train-labels-idx1-ubyte.gz", 8, N).astype(int)


def final_accuracy(seed):
    r = np.random.RandomState(seed)
    W = [SCALE * r.randn(a, b) for a, b in zip(SIZES, SIZES[1:])]
    B = [np.zeros(b) for b in SIZES[1:]]
    gamma, beta = [np.ones(100) for _ in range(5)], [np.zeros(100) for _ in range(5)]
    mean, var = [np.zeros(100) for _ in range(5)], [np.zeros(100) for _ in range(5)]
    for _ in range(STEPS):
        batch = r.choice(N, BATCH)
        h, cache = X[batch], []
        for i in range(5):
            a = h @ W[i] + B[i]
            mu = a.mean(0)
            centred = a - mu
            v = (centred**2).mean(0)
            s = np.sqrt(v + 1e-6)
            mean[i] = 0.9 * mean[i] + 0.1 * mu
            var[i] = 0.9 * var[i] + 0.1 * v
            y = gamma[i] * (centred / s) + beta[i]
            cache.append((h, centred, s, y))
            h = np.maximum(y, 0)
        z = h @ W[5] + B[5]
        p = np.exp(z - z.max(1, keepdims=True))
        d = p / p.sum(1, keepdims=True)
        d[np.arange(BATCH), T[batch]] -= 1
        d /= BATCH
        dW, db, d = h.T @ d, d.sum(0), d @ W[5].T
        W[5] -= LR * dW
        B[5] -= LR * db
        for i in reversed(range(5)):
            h, centred, s, y = cache[i]
            d = d * (y > 0)
            normalised = centred / s
            dbeta, dgamma = d.sum(0), (normalised * d).sum(0)
            d = gamma[i] / s * (d - dbeta / BATCH - normalised * dgamma / BATCH)
            dW, db, d = h.T @ d, d.sum(0), d @ W[i].T
            W[i] -= LR * dW
            B[i] -= LR * db
            gamma[i] -= LR * dgamma
            beta[i] -= LR * dbeta
    x = X
    for i in range(5):
        x = np.maximum(gamma[i] * (x @ W[i] + B[i] - mean[i]) / np.sqrt(var[i] + 1e-6) + beta[i], 0)
    return float(((x @ W[5] + B[5]).argmax(1) == T).mean())


first, count = (int(a) for a in sys.argv[1:3]) if len(sys.argv) > 2 else (101, 240)
print(json.dumps([final_accuracy(seed) for seed in range(first, first + count)]))
