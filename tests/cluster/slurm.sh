#!/usr/bin/env bash
# A Slurm of one node on this machine, for the tests: munge, controller and daemon with all their files under DIR.
# Takes root, and the packages slurm-wlm and munge.   slurm.sh start|stop DIR
set -euo pipefail
what=$1 dir=$2
if [ "$what" = stop ]; then
    for name in slurmd slurmctld; do
        [ -f "$dir/$name.pid" ] && kill "$(cat "$dir/$name.pid")" || true
    done
    exit
fi
mkdir -p "$dir"/{state,spool,log}
host=$(hostname -s) cores=$(nproc) memory=$(($(free -m | awk '/^Mem/ {print $2}') - 1000))
# Ports of its own, so that a Slurm that runs here already is left alone.
cat >"$dir/slurm.conf" <<CONF
ClusterName=priorbench-tests
SlurmctldHost=$host(127.0.0.1)
SlurmctldPort=7817
SlurmdPort=7818
AuthType=auth/munge
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
SlurmUser=root
SlurmdUser=root
StateSaveLocation=$dir/state
SlurmdSpoolDir=$dir/spool
SlurmctldLogFile=$dir/log/slurmctld.log
SlurmdLogFile=$dir/log/slurmd.log
SlurmctldPidFile=$dir/slurmctld.pid
SlurmdPidFile=$dir/slurmd.pid
ReturnToService=2
InactiveLimit=0
KillWait=5
MinJobAge=300
OverTimeLimit=0
SchedulerType=sched/backfill
SchedulerParameters=bf_interval=5,sched_interval=5
NodeName=$host NodeAddr=127.0.0.1 CPUs=$cores RealMemory=$memory State=UNKNOWN
PartitionName=main Nodes=ALL Default=YES MaxTime=INFINITE State=UP
CONF
export SLURM_CONF="$dir/slurm.conf"
mkdir -p /run/munge /var/log/munge /var/lib/munge
chown munge: /run/munge /var/log/munge /var/lib/munge
[ -f /etc/munge/munge.key ] || mungekey --create
pgrep -x munged >/dev/null || su -s /bin/sh munge -c "$(command -v munged)"
slurmctld -f "$SLURM_CONF" && slurmd -f "$SLURM_CONF"
for _ in $(seq 60); do
    sinfo -h -o %T 2>/dev/null | grep -q idle && exit
    sleep 0.5
done
echo "the node did not become idle" >&2
exit 1
