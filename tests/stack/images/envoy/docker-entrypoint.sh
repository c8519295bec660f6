#!/bin/sh
# as the image's: options alone are Envoy's
set -eu
case "${1-}" in "" | -*) set -- envoy "$@" ;; esac
exec "$@"
