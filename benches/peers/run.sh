#!/usr/bin/env bash
# Ours beside the rivals, timed in turns, as ratios:   benches/peers/run.sh gemm|step [--threads N]
# Sets up a Python environment in benches/peers/venv the first time (about 3 GB: PyTorch with MKL, NumPy with OpenBLAS, JAX);
# PYTHON=… uses one that is there.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
what=${1:?usage: run.sh gemm|step [--threads N] [--rounds R] [--only NAME]}
shift
if [ -z "${PYTHON:-}" ]; then
  PYTHON=$here/venv/bin/python
  if [ ! -x "$PYTHON" ]; then
    python3 -m venv "$here/venv"
    "$PYTHON" -m pip install --quiet torch numpy jax
  fi
fi
build() {
  cd "$here/../.." && cargo build --release --quiet -p groundup-benches "$@" --message-format=json |
    sed -n 's/.*"executable":"\([^"]*\)".*/\1/p' | tail -n 1
}
case $what in
  gemm) RATES=$(build --features peers --example rates) && export RATES ;;
  step) STEPS=$(build --example steps) && export STEPS ;;
  *) echo "run.sh: there is no '$what'; it is gemm or step" >&2 && exit 2 ;;
esac
exec "$PYTHON" "$here/$what.py" "$@"
