#!/bin/sh
# As soon as the mirror's lists are there: a lock file that it cannot serve should not cost a bootstrap.
set -eu
export APT_CONFIG="$MMDEBSTRAP_APT_CONFIG"
xargs apt-cache show </in/pins |
	awk '/^Package:/ { name = $2 } /^Version:/ { print name "=" $2 }' | sort -u >/work/found
sort -u /in/pins | comm -23 - /work/found >/work/gone
[ -s /work/gone ] || exit 0
sed 's/^/creel.lock has it, the mirror no longer: /' /work/gone >&2
echo "set debian.snapshot, or creel build --update" >&2
exit 1
