#!/usr/bin/env bash
# Podman with runc on Debian, and settings with which it works where the machine itself is a container or a small virtual
# machine: without systemd, without CAP_SYS_RESOURCE, with cgroups v1 and v2 side by side.
#   usage: [INSTALL=1] install-podman.sh FOLDER
# Writes FOLDER/containers.conf and FOLDER/storage.conf (images and containers below FOLDER, apart from all others) and
# prints what to export. INSTALL=1 installs what is missing first (as root).
set -euo pipefail
folder=${1:?usage: [INSTALL=1] install-podman.sh FOLDER}

if [[ ${INSTALL:-0} == 1 ]]; then
  missing=()
  for package in podman runc conmon; do dpkg -s "$package" >/dev/null 2>&1 || missing+=("$package"); done
  if [[ ${#missing[@]} -gt 0 ]]; then
    apt-get update -qq
    DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
  fi
fi

mkdir -p "$folder"
folder=$(cd "$folder" && pwd)
# Limits: raising them needs CAP_SYS_RESOURCE. Manager of cgroups: the other one is systemd. Runtime: crun refuses cgroups
# v1 and v2 side by side.
# Locks and sockets in a folder of its own: two storages that share them (by default in /run/libpod and in shared memory)
# take them from each other, and wait for each other's containers.
cat >"$folder/containers.conf" <<X
[containers]
default_ulimits = ["nofile=20000:20000", "nproc=20000:20000"]
[engine]
cgroup_manager = "cgroupfs"
events_logger = "file"
runtime = "runc"
tmp_dir = "$folder/tmp"
lock_type = "file"
X
cat >"$folder/storage.conf" <<X
[storage]
driver = "overlay"
graphroot = "$folder/storage"
runroot = "$folder/run"
X
printf 'export CONTAINERS_CONF=%q CONTAINERS_STORAGE_CONF=%q\n' "$folder/containers.conf" "$folder/storage.conf"
