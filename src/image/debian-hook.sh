#!/bin/sh
# Run by mmdebstrap in the step when all packages are in: $1 is the tree. Says what it holds in the
# archive's own words, and fetches the kernel.
set -eu
root=$1
export APT_CONFIG="$MMDEBSTRAP_APT_CONFIG" # the tree's lists, not those of the host
dpkg-query --admindir="$root/var/lib/dpkg" -W -f '${binary:Package}=${Version}\n' >/work/installed
xargs apt-cache show </work/installed >/work/debian.txt

mkdir -p /work/kernel
cd /work/kernel
if [ -f /in/kernel ]; then
	want=$(cat /in/kernel)
else
	meta=linux-image-cloud-$(dpkg --print-architecture)
	want=$(apt-cache depends "$meta" | sed -n 's/^ *Depends: \(linux-image-[0-9][^ ]*\)$/\1/p' | head -n 1)
	[ -n "$want" ] || { echo "no kernel package $meta in these sources" >&2; exit 1; }
	want=$want=$(apt-cache policy "$want" | sed -n 's/^ *Candidate: //p')
fi
apt-cache show "$want" >/work/kernel.txt
apt-get download "$want"
for deb in *.deb; do
	dpkg-deb -x "$deb" .
	rm "$deb"
done
