# shellcheck shell=bash
# Sourced by bench and bench_codecs, behind server.sh: timing, and a table of what was found.
# shellcheck disable=SC2154  # work: from server.sh

drop_caches=yes

step() {
    printf '== %s\n' "$*"
}

# What was written is on the disk, and what will be read is not in memory.
settle() {
    sync
    if [[ $drop_caches == yes ]]; then
        { echo 3 >/proc/sys/vm/drop_caches; } 2>/dev/null || drop_caches=no
    fi
}

# timed NAME COMMAND...: keeps how many seconds the command takes.
timed() {
    settle
    local began=$EPOCHREALTIME
    "${@:2}" || die "failed: ${*:2}"
    awk -v began="$began" -v now="$EPOCHREALTIME" 'BEGIN {print now - began}' >>"$work/times/$1"
}

median() {
    sort -n "$work/times/$1" | awk '{value[NR] = $1}
        END {printf "%.4f", NR % 2 ? value[(NR + 1) / 2] : (value[NR / 2] + value[NR / 2 + 1]) / 2}'
}

ratio() {  # ratio A B: A / B
    awk -v a="$1" -v b="$2" 'BEGIN {printf "%.3f", a / b}'
}

# row WHAT VALUE PEER TARGET [COMPARISON VALUE LIMIT]: a line of the table.
row() {
    local verdict=-
    if (($# > 4)); then
        verdict=$(awk -v value="$6" -v limit="$7" -v comparison="$5" \
            'BEGIN {print (comparison == "<" ? value < limit : value >= limit) ? "met" : "MISSED"}')
    fi
    printf '| %-46s | %-18s | %-36s | %-22s | %-6s |\n' "$1" "$2" "$3" "$4" "$verdict"
}

seconds() {
    printf '%.2f s' "$(median "$1")"
}

fill_with_usr() {  # fill_with_usr FOLDER BYTES: copies of this machine's /usr
    local folder=$1 left=$2 number=1
    while ((left > $2 / 20)) && ((number <= 20)); do
        mkdir -p "$folder/copy$number"
        copy_folders "$folder/copy$number" "$left" 400000 /usr/lib/* /usr/bin /usr/share/* \
            /usr/include /usr/sbin
        ((copied_bytes)) || return 0
        left=$((left - copied_bytes))
        number=$((number + 1))
    done
}

daemon_peak_kib() {  # daemon_peak_kib MOUNTPOINT
    local pid
    pid=$("$imgfs" status --json "$1" |
        python3 -c 'import json, sys; print(json.load(sys.stdin)["mounts"][0]["pid"])')
    awk '/^VmHWM:/ {print $2}' "/proc/$pid/status"
}
