#!/bin/sh
# Take away what differs between two builds of the same packages, or has no use in a cell.
set -eu
cd /work/root
rm -rf var/log/* var/cache/apt/* var/cache/ldconfig var/lib/apt/lists/* var/lib/dbus/machine-id \
	etc/machine-id etc/resolv.conf etc/hostname etc/apt/sources.list etc/apt/sources.list.d/* \
	etc/apt/preferences.d/creel-lock etc/apt/apt.conf.d/99mmdebstrap dev/* run/* tmp/*
mkdir -p persist run/secrets var/log
: >etc/machine-id
