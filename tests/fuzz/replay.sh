#!/bin/sh
# The fuzz targets that have kept inputs, a line each: AREA NAME
cd "$(dirname "$0")" || exit 1
for dir in */corpus-*; do
	area=${dir%%/*} name=${dir#*/corpus-}
	[ -f "$area/fuzz-$name.c" ] && echo "$area $name"
done
exit 0
