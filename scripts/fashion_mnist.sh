#!/bin/sh
# Installs Fashion-MNIST from the Debian package dataset-fashion-mnist where this machine can.
# Never fails: without it, `make run` falls back to scikit-learn's digits and says so.
folder=${KERAS_ACTFN_DATA:-/usr/share/datasets/fashion-mnist}
[ -e "$folder/train-images-idx3-ubyte.gz" ] && exit 0
command -v apt-get > /dev/null || exit 0
as_root=""
[ "$(id -u)" = 0 ] || as_root="sudo -n"
echo "Installing Fashion-MNIST (Debian package dataset-fashion-mnist)"
install() { $as_root apt-get install -y -qq dataset-fashion-mnist > /dev/null 2>&1; }
install || { $as_root apt-get update -qq > /dev/null 2>&1 && install; } ||
    echo "Could not install Fashion-MNIST on this machine."
exit 0
