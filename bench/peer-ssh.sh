# shellcheck shell=sh
# bench/peer-ssh.sh, sourced after lib.sh: an equal guest with sshd. The same kernel, modules, memory and
# accelerator as a cell's, its network a tap of this bench's own namespace.
PEER=192.0.2.2

peer_root() { # a Debian with sshd, made once a cache
	peer_cache=$CREEL_CACHE_DIR/bench-ssh.img
	[ -f "$peer_cache" ] && [ -f "$CREEL_CACHE_DIR/bench-ssh.key" ] && return
	echo "building the ssh peer (once)" >&2
	rm -f "$CREEL_CACHE_DIR/bench-ssh.key"
	ssh-keygen -q -t ed25519 -N '' -f "$CREEL_CACHE_DIR/bench-ssh.key"
	mkdir "$WORK/root"
	sources=$(ls /etc/apt/sources.list /etc/apt/sources.list.d/*.list \
		/etc/apt/sources.list.d/*.sources 2>/dev/null || true)
	# shellcheck disable=SC2086
	mmdebstrap --quiet --variant=minbase --include=openssh-server,iproute2 bookworm "$WORK/root" $sources \
		>/dev/null 2>"$WORK/mmdebstrap.log" || { tail -n 20 "$WORK/mmdebstrap.log" >&2; exit 1; }
	cp "$BUILD/bench/source" "$WORK/root/usr/bin/source"
	mkdir -p "$WORK/root/root/.ssh" "$WORK/root/run/sshd"
	cp "$CREEL_CACHE_DIR/bench-ssh.key.pub" "$WORK/root/root/.ssh/authorized_keys"
	printf 'UsePAM no\nUseDNS no\nPermitRootLogin yes\nMaxSessions 100\n' >"$WORK/root/etc/ssh/sshd_config"
	rm -f "$WORK/root/sbin/init"
	cat >"$WORK/root/sbin/init" <<'I'
#!/bin/sh
PATH=/usr/sbin:/usr/bin:/sbin:/bin
mount -t proc proc /proc
mount -t sysfs sys /sys
mkdir -p /dev/pts /run/sshd
mount -t devpts pts /dev/pts
mount -t tmpfs tmp /tmp
ip link set lo up
ip addr add 192.0.2.2/24 dev eth0
ip link set eth0 up
/usr/bin/source 192.0.2.2 9000 &
/usr/sbin/sshd
echo READY >/dev/ttyS0
while :; do sleep 1000; done
I
	chmod 755 "$WORK/root/sbin/init"
	truncate -s 1G "$WORK/ssh.img"
	mke2fs -q -t ext4 -d "$WORK/root" "$WORK/ssh.img"
	mv "$WORK/ssh.img" "$peer_cache"
	rm -rf "$WORK/root"
}

# in_namespace "$@": start the script again in a network namespace of its own; images are built before
in_namespace() {
	if [ -z "${CREEL_BENCH_NS:-}" ]; then
		CREEL_CACHE_DIR=${CREEL_CACHE_DIR:-$PWD/$BUILD/test-cache}
		export CREEL_CACHE_DIR
		"$CREEL" build base >/dev/null
		peer_root
		rm -rf "$WORK"
		CREEL_BENCH_NS=1 exec unshare -n "$0" "$@"
	fi
	ip link set lo up
	ip tuntap add peer0 mode tap
	ip addr add 192.0.2.1/24 dev peer0
	ip link set peer0 up
}

peer_start() {
	image=$("$CREEL" build base --json | jq -r .dir)
	cc -O2 -static -o "$WORK/peer-root" bench/peer-root.c
	mkdir "$WORK/i"
	(cd "$WORK/i" && cpio -idm --quiet <"$image/initramfs.cpio" && cp "$WORK/peer-root" init &&
		find . | cpio -o -H newc --quiet) >"$WORK/peer.cpio"
	khz=$(awk '/^cpu MHz/ {printf "%d", $4 * 1000; exit}' /proc/cpuinfo)
	qemu-system-x86_64 -M microvm,rtc=on,memory-backend=mem \
		-object memory-backend-memfd,id=mem,size=256M,share=on -accel tcg,thread=multi -cpu max -m 256 \
		-nodefaults -no-user-config -no-reboot -display none -global virtio-mmio.force-legacy=false \
		-serial "file:$WORK/console" -kernel "$image/vmlinuz" -initrd "$WORK/peer.cpio" \
		-drive "file=$CREEL_CACHE_DIR/bench-ssh.img,if=none,id=d,format=raw,snapshot=on" \
		-device virtio-blk-device,drive=d -netdev tap,id=n,ifname=peer0,script=no,downscript=no,vhost=off \
		-device virtio-net-device,netdev=n -append "console=ttyS0 quiet tsc_early_khz=$khz net.ifnames=0 rw" \
		</dev/null >"$WORK/qemu.log" 2>&1 &
	peer_pid=$!
	i=0
	until grep -q READY "$WORK/console" 2>/dev/null; do
		i=$((i + 1))
		[ $i -lt 600 ] || { tail "$WORK/console" "$WORK/qemu.log" >&2; exit 1; }
		sleep 0.1
	done
	cat >"$WORK/ssh_config" <<C
Host peer master
	HostName $PEER
	User root
	IdentityFile $CREEL_CACHE_DIR/bench-ssh.key
	StrictHostKeyChecking no
	UserKnownHostsFile $WORK/known
	LogLevel ERROR
Host master
	ControlPath $WORK/master.sock
C
	i=0
	until ssh -F "$WORK/ssh_config" -n peer true 2>"$WORK/err"; do
		i=$((i + 1))
		[ $i -lt 30 ] || { cat "$WORK/err" >&2; exit 1; }
		sleep 1
	done
	ssh -F "$WORK/ssh_config" -f -N -M master
}

cell_start() {
	cat >"$WORK/creel.yaml" <<'Y'
version: 1
cells:
  box: { recipe: base, memory: 256MiB, publish: ["127.0.0.1:18096:9000"], egress: { mode: none } }
Y
	"$CREEL" --state-dir "$WORK/state" -f "$WORK/creel.yaml" up >&2
}

ssh_end() {
	"$CREEL" --state-dir "$WORK/state" down --now >/dev/null 2>&1 || true
	ssh -F "$WORK/ssh_config" -O exit master >/dev/null 2>&1 || true
	[ -z "${peer_pid:-}" ] || kill -9 "$peer_pid" 2>/dev/null || true
	rm -rf "$WORK"
}
