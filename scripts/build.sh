# shellcheck shell=bash
# Sourced by test and analyse.

jobs=$(nproc)

step() {
    echo "== $* ($((SECONDS / 60)) min)"
}

build() {  # build FOLDER SANITIZERS [TARGET...]
    cmake -S . -B "build/$1" -G Ninja -DCMAKE_BUILD_TYPE=Debug -DSANITIZE="$2" >"build/$1.log" ||
        { cat "build/$1.log"; return 1; }
    ninja -C "build/$1" -j "$jobs" "${@:3}"
}
