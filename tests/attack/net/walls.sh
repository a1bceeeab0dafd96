# shellcheck shell=sh disable=SC2154 # dir, cell: lib.sh
# walls.sh: a try against the wall, and the same with one rule less. Sourced after lib.sh by what has a
# fence() of its own: what was sent before it has arrived when it returns.

# at every place where a mark may come to but its own cell, whose packets show what it asked itself
seen() {
	for f in "$INTERNET/log/packets" "$INTERNET/log/evil-dns.jsonl" "$dir/sink.host" "$dir/sink.cells" \
		"$dir"/packets.* "$dir"/sink.agent "$dir/sink.gog"; do
		case $f in *."$cell") continue ;; esac
		grep -q -- "$1" "$f" && return
	done
	return 1
}

m=0
# wall NAME WEAKEN CELL TRY...: MARK in the try's arguments is what is looked for
wall() {
	name=$1 weaken=$2
	shift 2
	m=$((m + 1))
	line=$*
	# shellcheck disable=SC2086
	try $(echo "$line" | sed "s/MARK/mark-$m-x/g")
	fence $m
	cell=${1%_four}
	! seen "mark-$m-x"
	got=$?
	$weaken
	blind=0
	# shellcheck disable=SC2086
	soon eval "try $(echo "$line" | sed "s/MARK/mark-$m-y/g"); seen mark-$m-y" || blind=1
	whole
	[ -n "$(command -v "un_$weaken")" ] && "un_$weaken"
	ok "$name" $got
	[ $blind -eq 0 ] || ok "$name: the twin did not get it, so this test is blind" 1
}

# what the attacker learns: `learns NAME WEAKEN PATTERN CELL TRY...`, PATTERN in what comes back
learns() {
	name=$1 weaken=$2 pattern=$3
	shift 3
	try "$@"
	! grep -qxE "$pattern" "$dir/out"
	got=$?
	$weaken
	blind=0
	soon eval "try $twin; grep -qxE '$pattern' '$dir/out'" || blind=1
	whole
	[ -n "$(command -v "un_$weaken")" ] && "un_$weaken"
	ok "$name" $got
	[ $blind -eq 0 ] || ok "$name: the twin did not get it, so this test is blind" 1
}
