# shellcheck shell=sh
# soon COMMAND...: true as soon as COMMAND is, within $SOON (60) seconds. To be sourced.
soon() {
	soon_until=$(($(date +%s) + ${SOON:-60}))
	until "$@"; do
		[ "$(date +%s)" -lt "$soon_until" ] || return 1
		sleep 0.1
	done
}
