# shellcheck shell=sh disable=SC2034 # what others use
# lib.sh: cells in the host of a test internet, and rules that are taken away for a moment. The cells are
# stand-ins, and a namespace takes each guest's place; with GUESTS set they are machines, and what is tried is
# tried in them. Sourced with $1..$3: creel, creeld, creel-standin, then plug as $4 (and bin).
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
GUESTS=${GUESTS:-}
trap cleanup EXIT
trap 'exit 143' TERM INT
SOON=20
# from a test's folder, and from bench/
top=$(realpath "$0")
until [ -f "$top/tests/soon.sh" ]; do top=${top%/*}; done
# shellcheck source=tests/soon.sh
. "$top/tests/soon.sh"
# cells_up: creeld, and the cells of $dir/creel.yaml
cells_up() {
	set -- --vmm "standin=$standin"
	[ -z "$GUESTS" ] || set --
	"$INTERNET/h" "$creeld" --state-dir "$st" "$@" </dev/null >"$dir/d" 2>&1 &
	monitor=$!
	soon test -S "$st/run/plan.sock" -o -S "$st/plan.sock"
	c -f "$dir/creel.yaml" up >"$dir/out" 2>"$dir/err"
}
# into CELL COMMAND...: run it in the guest, or in the namespace in its place
into() {
	cell_=$1
	shift
	if [ -n "$GUESTS" ]; then
		c exec -n "$cell_" -- "$@"
	else
		eval "at=\$ns_$cell_"
		# shellcheck disable=SC2154 # set by eval
		nsenter -t "$at" -n "$@"
	fi
}
# a file of a guest as it grows, here: as in the namespace's place, where it is here at once
grows() { # grows CELL NAME PROGRAM
	c exec -n "$1" -- sh -c "/root/$3 /root/$2 >/dev/null 2>&1 & exec tail -n +1 -s 0.1 -F /root/$2" >"$dir/$2.$1" 2>/dev/null &
	pids="$pids $!"
}
apart() { [ "$(readlink "/proc/$1/ns/net")" != "$(readlink /proc/self/ns/net)" ]; }
# guest CELL ADDR MAC: every packet that comes to it is in packets.CELL, and a sink listens there
guest() {
	if [ -n "$GUESTS" ]; then
		for f in "$attacker" "$bin/witness-static" "$bin/sink-static"; do
			c cp "$f" "$1:/root/$(basename "$f")" || return
		done
		grows "$1" packets witness-static
		grows "$1" sink sink-static
		return
	fi
	unshare -n sleep 1000 >/dev/null 2>&1 &
	pids="$pids $!"
	eval "ns_$1=$!"
	at=$!
	soon apart "$at"
	machine=$(pgrep -f "creel-standin [0-9]* [0-9]* $1 " -P "$monitor" | head -1)
	"$plug" "$machine" "$at" "$2" 192.168.83.1 "$3" >"$dir/plug.$1" 2>>"$dir/err" &
	eval "plug_$1=$!"
	pids="$pids $!"
	soon grep -q ready "$dir/plug.$1"
	: >"$dir/packets.$1"
	nsenter -t "$at" -n "$bin/witness" "$dir/packets.$1" >/dev/null &
	pids="$pids $!"
	nsenter -t "$at" -n "$bin/sink" "$dir/sink.$1" >/dev/null &
	pids="$pids $!"
}
unplug() { # unplug CELL: before its link goes
	eval "kill \$plug_$1; wait \$plug_$1" 2>/dev/null
}
try() { # try CELL TRY...
	cell=$1
	shift
	into "$cell" "$there" "$@" >"$dir/out" 2>>"$dir/err"
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
