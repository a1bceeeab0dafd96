# shellcheck shell=sh
# bench/lib.sh: sourced by every bench script (POSIX sh). Times are milliseconds.
# A ratio is ours over the peer's, both measured in this run, alternating, medians of RUNS runs.
set -eu
cd "$(dirname "$0")/.."
BUILD=${BUILD:-build}
CREEL=$BUILD/creel
RUNS=${RUNS:-5}
WORK=$(mktemp -d "${TMPDIR:-/tmp}/creel-bench.XXXXXX")

# timed NAME COMMAND...: run it, append its wall time to the series NAME
timed() {
	t_name=$1
	shift
	t_from=$(date +%s%N)
	"$@" >"$WORK/out" 2>"$WORK/err" </dev/null || {
		echo "bench: $* failed:" >&2
		tail -n 20 "$WORK/out" "$WORK/err" >&2
		exit 1
	}
	echo "$((($(date +%s%N) - t_from) / 1000))" | awk '{printf "%.3f\n", $1 / 1000}' \
		>>"$WORK/$t_name.series"
}

# stat NAME min|median|max
stat() {
	sort -n "$WORK/$1.series" | awk -v what="$2" '{v[NR] = $1} END {
		if (what == "min") print v[1]; else if (what == "max") print v[NR];
		else if (NR % 2) print v[(NR + 1) / 2]; else print (v[NR / 2] + v[NR / 2 + 1]) / 2 }'
}

row() {
	printf '%-34s %10s %10s %10s\n' "$2" "$(stat "$1" min)" "$(stat "$1" median)" "$(stat "$1" max)"
}

ratio() {
	awk -v a="$(stat "$1" median)" -v b="$(stat "$2" median)" 'BEGIN { printf "%.3f", a / b }'
}

header() {
	printf '%-34s %10s %10s %10s\n' "$1" min median max
}

# unseen: who writes each packet of the test internet down is in nobody's way
unseen() {
	i_=$(readlink "/proc/$(cat "$INTERNET/inet.pid")/ns/net")
	for p_ in $(pgrep -x witness); do
		[ "$(readlink "/proc/$p_/ns/net")" != "$i_" ] || kill "$p_"
	done
}
