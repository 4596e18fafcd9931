# shellcheck shell=bash
# Sourced by quickstart and bench: a work folder that is gone afterwards, a "server" (a partition with
# a real tree of files), and its backup image. Needs root.

set -E
trap 'echo "${0##*/}: stopped at line $LINENO of ${BASH_SOURCE[0]##*/}: $BASH_COMMAND" >&2' ERR

say() {
    printf '%s\n' "$*"
}

die() {
    echo "${0##*/}: $*" >&2
    exit 1
}

build_release() {
    if ! { cmake -S . -B build/release -G Ninja -DCMAKE_BUILD_TYPE=Release &&
        ninja -C build/release imgfs imgsync; } >build/release.log; then
        cat build/release.log
        die "the build failed"
    fi
    # shellcheck disable=SC2034
    imgfs=$PWD/build/release/imgfs imgsync=$PWD/build/release/imgsync
}

# Everything is made below $work and leaves with it, however this ends.
make_work_folder() {
    work=$(mktemp -d "${TMPDIR:-/tmp}/imgfs-${0##*/}.XXXXXX")
    trap remove_work_folder EXIT
    trap 'exit 130' INT TERM HUP
}

mounts_in_work_folder() {
    awk -v "work=$work/" 'index($2, work) == 1 {print $2}' /proc/mounts
}

remove_work_folder() {
    local status=$? mounted
    cd /
    for mounted in $(mounts_in_work_folder | tac); do
        umount "$mounted" 2>/dev/null || umount -l "$mounted" || true
    done
    if [[ -z $(mounts_in_work_folder) ]]; then
        rm -rf --one-file-system "$work" || true
    else
        echo "left behind, because something there is still mounted: $work" >&2
    fi
    exit "$status"
}

# Containers often forbid it; then mke2fs and debugfs do without.
can_loop_mount() {
    [[ -n ${loop_works:-} ]] || {
        mkdir -p "$work/probe"
        truncate -s 1M "$work/probe.img"
        mke2fs -q -F "$work/probe.img"
        if mount -o loop "$work/probe.img" "$work/probe" 2>/dev/null; then
            umount "$work/probe"
            loop_works=yes
        else
            loop_works=no
        fi
    }
    [[ $loop_works == yes ]]
}

# copy_folders TARGET BYTES FILES FOLDER...: whole folders, about as much as that; says how much in
# $copied_bytes.
copy_folders() {
    local target=$1 most_bytes=$2 most_files=$3 folder size files count=0
    copied_bytes=0
    for folder in "${@:4}"; do
        size=$(du -sxb "$folder" | cut -f1)
        files=$(find "$folder" -xdev | wc -l)
        if ((copied_bytes + size <= most_bytes && size <= most_bytes / 3 + 1 &&
            count + files <= most_files)); then
            rsync -aHAXSR "$folder" "$target/"
            copied_bytes=$((copied_bytes + size))
            count=$((count + files))
        fi
    done
}

# make_partition FILE SIZE TREE: an ext4 partition, as Debian 12 makes it, with the tree in it.
make_partition() {
    truncate -s "$2" "$1"
    if can_loop_mount; then
        mke2fs -q -t ext4 -F "$1"
        mkdir -p "$work/server"
        mount -o loop "$1" "$work/server"
        rsync -aHAXS "$3/" "$work/server/"
        umount "$work/server"
    else
        mke2fs -q -t ext4 -F -d "$3" "$1"
    fi
}

# make_image PARTITION PREFIX PART_SIZE: as Clonezilla does it; PREFIX.aa, PREFIX.ab ...
make_image() {
    mkdir -p "$(dirname "$2")"
    partclone.extfs -c -s "$1" -o - -L "$work/partclone.log" 2>"$work/partclone.out" |
        pigz --fast -b 1024 --rsyncable |
        split -b "$3" - "$2." || { cat "$work/partclone.out"; die "partclone failed"; }
}
