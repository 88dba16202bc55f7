#!/usr/bin/env bash
# Slurm for the tests, where it may be installed: on Debian's kin, by root. Elsewhere its tests are skipped.
if command -v slurmctld >/dev/null || [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null; then
    exit 0
fi
apt-get install -y -q slurm-wlm munge >/dev/null || echo "slurm-wlm cannot be installed here" >&2
exit 0
