# shellcheck shell=sh disable=SC2034 # what others use
# lib.sh: cells of stand-ins in the host of a test internet, a guest's place for each, and rules that are
# taken away for a moment. Sourced with $1..$3: creel, creeld, creel-standin, then plug as $4 (and bin).
creel=$(realpath "$1") creeld=$(realpath "$2") standin=$(realpath "$3") plug=$(realpath "$4")
bin=$CREEL_INTERNET_BIN
dir=$(mktemp -d)
chmod 755 "$dir"
st=$dir/state
n=0
pids=
h() { "$INTERNET/h" "$@"; }
c() { h "$creel" --state-dir "$st" "$@"; }
N() { nsenter --net="$st/run/netns" "$@"; }
ok() {
	n=$((n + 1))
	if [ "$2" -eq 0 ]; then
		echo "ok $n - $1"
	else
		echo "not ok $n - $1"
		tail -n 5 "$dir/out" "$dir/err" "$dir/d" 2>/dev/null | sed 's/^/# /'
	fi
}
cleanup() {
	c down --now >/dev/null 2>&1
	for p in $monitor $pids; do kill -9 "$p" 2>/dev/null; done
	rm -rf "$dir"
}
monitor=
trap cleanup EXIT
trap 'exit 143' TERM INT
until_true() { # until_true COMMAND...: within twenty seconds
	deadline=$(($(date +%s) + 20))
	until "$@"; do
		[ "$(date +%s)" -lt $deadline ] || return 1
		sleep 0.05
	done
}
# cells_up: creeld, and the cells of $dir/creel.yaml
cells_up() {
	"$INTERNET/h" "$creeld" --state-dir "$st" --vmm "standin=$standin" </dev/null >"$dir/d" 2>&1 &
	monitor=$!
	until_true test -S "$st/run/plan.sock" -o -S "$st/plan.sock"
	c -f "$dir/creel.yaml" up >"$dir/out" 2>"$dir/err"
}
# a namespace in each guest's place; every packet that comes to it is in packets.CELL, and a sink listens
guest() { # guest CELL ADDR MAC
	unshare -n sleep 1000 >/dev/null 2>&1 &
	pids="$pids $!"
	eval "ns_$1=$!"
	at=$!
	until_true test "$(readlink "/proc/$at/ns/net")" != "$(readlink /proc/self/ns/net)"
	machine=$(pgrep -f "creel-standin [0-9]* [0-9]* $1 " -P "$monitor" | head -1)
	"$plug" "$machine" "$at" "$2" 192.168.83.1 "$3" >"$dir/plug.$1" 2>>"$dir/err" &
	pids="$pids $!"
	until_true grep -q ready "$dir/plug.$1"
	: >"$dir/packets.$1"
	nsenter -t "$at" -n "$bin/witness" "$dir/packets.$1" >/dev/null &
	pids="$pids $!"
	nsenter -t "$at" -n "$bin/sink" "$dir/sink.$1" >/dev/null &
	pids="$pids $!"
}
try() { # try CELL TRY...
	cell=$1
	shift
	eval "at=\$ns_$cell"
	# shellcheck disable=SC2154 # set by eval
	nsenter -t "$at" -n "$attacker" "$@" >"$dir/out" 2>>"$dir/err"
}
weak=
less() { # less CHAIN RULE: put RULE before the wall
	weak="$weak $1:$(N nft --echo --handle insert rule inet creel "$@" | sed -n 's/.*# handle //p' | tail -1)"
}
host_less() {
	table=$(h nft list tables inet | sed -n 's/.*inet \(creel-.*\)/\1/p')
	hostweak="$hostweak $1:$(h nft --echo --handle insert rule inet "$table" "$@" | sed -n 's/.*# handle //p' | tail -1)"
}
hostweak=
whole() {
	for w in $weak; do N nft delete rule inet creel "${w%:*}" handle "${w#*:}"; done
	for w in $hostweak; do h nft delete rule inet "$table" "${w%:*}" handle "${w#*:}"; done
	weak='' hostweak=''
}
