#!/bin/sh
# scripts/test.sh BACKEND [WORKERS]: runs the tests against build/wheel on one backend. Tests
# that do not depend on the backend are marked `once` and run on PyTorch alone, which compiles
# nothing and so is the quickest.
set -eu
backend=$1
workers=${2:-2}
only=""
[ "$backend" = torch ] || only="not once"
export KERAS_BACKEND="$backend"
export PYTHONPATH="$PWD/build/wheel"
export TF_CPP_MIN_LOG_LEVEL=3 MPLBACKEND=Agg
# JAX compiles every model anew and runs it for a moment, as Numba does UMAP's functions: compiling
# is what takes the time.
export JAX_DISABLE_MOST_OPTIMIZATIONS=1 NUMBA_OPT=0
# The older emitters of fused loops compile in a third of the time and compute the same, and each
# program is compiled in one part, as there is one core for it.
export XLA_FLAGS="--xla_cpu_use_fusion_emitters=false --xla_cpu_parallel_codegen_split_count=1"
# What is compiled to bytecode, tests and libraries, is kept for the other processes.
export PYTHONDONTWRITEBYTECODE=
# One thread for each worker: two workers on two cores.
export OMP_NUM_THREADS=1 TF_NUM_INTRAOP_THREADS=1 TF_NUM_INTEROP_THREADS=1
# Databases and journals are written through to the disk, thousands of times: in memory nobody
# waits for it. Tests compile libraries in their folders, and write about 500 MB.
memory=/dev/shm
folder=""
if [ -w "$memory" ] && [ "$(df -Pk "$memory" | awk 'END {print $4}')" -gt 2000000 ] &&
	! grep -q " $memory [a-z]* [^ ]*noexec" /proc/mounts; then
	folder=$(mktemp -d "$memory/tests.XXXXXX")
	trap 'rm -rf "$folder"' EXIT
fi
echo "== tests on $backend"
# Each worker begins with half of the files, so that tests of one file share what they make, and
# takes from the other when it has done its own.
.venv/bin/pytest -n "$workers" --dist worksteal -m "$only" ${folder:+--basetemp="$folder/tests"} tests
