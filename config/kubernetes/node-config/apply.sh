#!/bin/sh
# Keeps the node's file as registries.conf says: looks every minute, and reloads CRI-O after a change.
# `once` looks once. CONFIG: where registries.conf is mounted; HOST: where the node's /etc is; NODE_ADDRESS.
set -eu
# As in registries.conf(5), an IPv6 address stands in brackets.
case $NODE_ADDRESS in *:*) NODE_ADDRESS="[$NODE_ADDRESS]" ;; esac
directory=$HOST/containers/registries.conf.d
target=$directory/000-weir.conf

apply() {
  wanted=$(sed "s|NODE-ADDRESS|$NODE_ADDRESS|g" "$CONFIG/registries.conf")
  [ -f "$target" ] && [ "$wanted" = "$(cat "$target")" ] && return
  # Renamed into place, so that nobody reads half a file. The name of the draft does not end in .conf. Reloaded in the
  # node's own namespaces, where systemd is.
  mkdir -p "$directory" && printf '%s\n' "$wanted" > "$target.new" && mv "$target.new" "$target" || return
  if ! nsenter --target 1 --mount --uts --ipc --net -- systemctl reload crio; then
    # To be tried again.
    rm "$target"
    return 1
  fi
  echo "wrote $target and reloaded crio"
}

apply
[ "${1-}" = once ] && exit
trap 'exit 0' TERM
while :; do
  sleep 60 &
  wait $!
  apply || echo "failed; the next try is in a minute" >&2
done
