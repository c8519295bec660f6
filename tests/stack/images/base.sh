#!/bin/sh
# base.sh TAR [PACKAGE ...]: Debian bookworm and packages, as a tar for `docker import`
set -eu
tar=$1
shift
include=$(IFS=,; echo "$*")
exec mmdebstrap --quiet --variant=minbase --include="$include" bookworm "$tar"
