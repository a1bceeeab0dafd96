# shellcheck shell=sh
# iodine-guests.sh: the last part of `net-guests`: iodine itself, with the libraries that it has here, from real guests
# whose modes are listed and ask; and then from the latter in mode open, which is also how it is seen that it would work.
notun=$(realpath "$6")
"$INTERNET/i" iodined -f -c -P secret -n 198.51.100.67 -l 198.51.100.67 10.99.0.1/24 tunnel.example \
	>"$dir/iodined" 2>&1 </dev/null &
pids="$pids $!"
soon grep -q "Listening to dns" "$dir/iodined"
ok "iodine's server listens" $?
program=$(PATH=$PATH:/usr/sbin command -v iodine)
loader=$(ldd "$program" | sed -n 's|^[[:space:]]*\(/[^ ]*\) (.*|\1|p')
libraries=$(ldd "$program" | sed -n 's|.*=> \(/[^ ]*\) .*|\1|p')
for cell in agent asker; do
	c exec -n "$cell" -- mkdir -p /root/io
	for f in "$program" "$notun" "$loader" $libraries; do
		c cp "$(realpath "$f")" "$cell:/root/io/$(basename "$f")" || echo "# $f was not copied"
	done
done
# tunnel_begin CELL SECONDS: iodine, by the cell's own resolver
tunnel_begin() {
	c exec -n "$1" -- timeout "$2" "/root/io/$(basename "$loader")" --library-path /root/io \
		--preload "/root/io/$(basename "$notun")" /root/io/iodine -f -r -M 64 -P secret 192.168.83.1 tunnel.example \
		>"$dir/iodine.$1" 2>&1 </dev/null &
	pids="$pids $!"
}
complete() { grep -q "Connection setup complete" "$dir/iodine.$1"; }
: >"$dir/iodine.asker"
tunnel_begin agent 12
listed=$!
tunnel_begin asker 12
wait "$listed" "$!"
for cell in agent asker; do
	! complete $cell && grep -q "Sending DNS queries for tunnel.example to 192.168.83.1" "$dir/iodine.$cell"
	ok "iodine from a guest ($cell): it asks, and is not connected" $?
done
! grep -q tunnel.example "$INTERNET/log/packets"
ok "and not one question of it left the host" $?
approval() { c --json approvals 2>/dev/null | grep -q tunnel.example; }
soon approval
ok "in mode ask there is an approval for the name" $?
sed -i 's/mode: ask/mode: open/' "$dir/creel.yaml"
c -f "$dir/creel.yaml" up asker >"$dir/out" 2>"$dir/err"
ok "the policy is open now" $?
SOON=60
tunnel_begin asker 60
soon complete asker
ok "iodine from a guest, mode open: it is connected" $?
asked() { c --json events --cell asker --kind dns.query | grep -q tunnel.example; }
soon asked
ok "and its questions are on the record" $?
found() { c --json events --cell asker --kind dns.tunnel | grep -q tunnel; }
soon found
ok "and it is found: dns.tunnel" $?
