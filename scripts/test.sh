#!/bin/sh
# scripts/test.sh BACKEND [WORKERS]: runs the tests against build/wheel on one backend. Tests
# that do not depend on the backend are marked `once` and run on JAX alone.
set -eu
backend=$1
workers=${2:-2}
only=""
[ "$backend" = jax ] || only="not once"
export KERAS_BACKEND="$backend"
export PYTHONPATH="$PWD/build/wheel"
export TF_CPP_MIN_LOG_LEVEL=3 MPLBACKEND=Agg
# One thread for each worker: two workers on two cores.
export OMP_NUM_THREADS=1 TF_NUM_INTRAOP_THREADS=1 TF_NUM_INTEROP_THREADS=1
echo "== tests on $backend"
exec .venv/bin/pytest -n "$workers" -m "$only" tests
