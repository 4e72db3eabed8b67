#!/usr/bin/env bash
# A real Slurm with several virtual nodes on one host, for tests: idempotent, as root, without systemd (Debian 12, slurm-wlm 22.05.8).
#   ACCT=1 (default) with slurmdbd + private mariadbd (sacct works);  ACCT=0 without.
#   INSTALL=1: apt-get install what is missing first.
# LINK_ETC=1 (default) links /etc/slurm/slurm.conf: the jobstep plugin strips SLURM_CONF from the inner srun, so SLURM_CONF alone fails.
set -euo pipefail
C=${CLUSTER_DIR:-$PWD/.slurm}
ACCT=${ACCT:-1}; NODES=${NODES:-4}; CPUS=${CPUS:-8}; MEM=${MEM:-4000}; GPUS=${GPUS:-4}
MINJOBAGE=${MINJOBAGE:-300}; LINK_ETC=${LINK_ETC:-1}; INSTALL=${INSTALL:-0}
# cgroup v1 (also the hybrid layout) works and gives real OUT_OF_MEMORY and no leaked processes after scancel
if [ -d /sys/fs/cgroup/memory ] && [ -d /sys/fs/cgroup/freezer ] && [ -w /sys/fs/cgroup/memory ]; then
  TASKPLUGIN=${TASKPLUGIN:-task/cgroup}; PROCTRACK=${PROCTRACK:-proctrack/cgroup}
else TASKPLUGIN=${TASKPLUGIN:-task/none}; PROCTRACK=${PROCTRACK:-proctrack/linuxproc}; fi
BASE_PORT=${BASE_PORT:-17000}           # slurmctld; nodes +1..N; dbd +90; mariadb +91
HOST=$(hostname -s)
t0=$(date +%s.%N); lap() { [ "${QUIET:-0}" = 1 ] || printf '[start_slurm %6.2fs] %s\n' "$(echo "$(date +%s.%N)-$t0" | bc -l 2>/dev/null || python3 -c "import time;print(time.time()-$t0)")" "$*"; }

if [ "$INSTALL" = 1 ]; then
  need=(); for p in slurmctld slurmd slurm-client munge; do dpkg -s $p >/dev/null 2>&1 || need+=($p); done
  if [ "$ACCT" = 1 ]; then for p in slurmdbd slurm-wlm-mysql-plugin mariadb-server-core mariadb-client-core; do dpkg -s $p >/dev/null 2>&1 || need+=($p); done; fi
  [ ${#need[@]} = 0 ] || { apt-get update -qq; DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${need[@]}" >/dev/null; lap "installed ${need[*]}"; }
fi

mkdir -p "$C"/{run,log,state,etc}; chmod 755 "$C" "$C"/run
P=$C/run; export SLURM_CONF=$C/slurm.conf
alive() { [ -s "$P/$1.pid" ] && kill -0 "$(cat "$P/$1.pid")" 2>/dev/null; }
port_open() { (exec 3<>/dev/tcp/127.0.0.1/"$1") 2>/dev/null; }
waitfor() { local end=$((SECONDS+$1)); shift; while [ $SECONDS -lt $end ]; do "$@" >/dev/null 2>&1 && return 0; sleep 0.05; done; echo "timeout: $*" >&2; "$@" >&2 || true; return 1; }

# --- munge: own key, own socket (no /run/munge needed) -------------------------------------------
if ! alive munged; then
  mkdir -p "$C/munge"; chmod 711 "$C/munge"
  [ -s "$C/munge/munge.key" ] || { head -c 128 /dev/urandom > "$C/munge/munge.key"; chmod 400 "$C/munge/munge.key"; }
  # --force: the folder above may be world-writable (sticky), which munged would only warn about
  munged --force --key-file="$C/munge/munge.key" --socket="$C/munge/munge.socket" \
         --pid-file="$P/munged.pid" --log-file="$C/munge/munged.log" --seed-file="$C/munge/munged.seed" --num-threads=2
fi

# --- configuration (rewritten each time) ---------------------------------------------------------
cat > "$C/cgroup.conf" <<X
CgroupPlugin=cgroup/v1
CgroupMountpoint=/sys/fs/cgroup
CgroupAutomount=no
ConstrainRAMSpace=yes
ConstrainSwapSpace=yes
X
{ for i in $(seq 1 "$NODES"); do
    [ "$GPUS" -gt 0 ] && echo "NodeName=n$i Name=gpu Type=fake File=/dev/tty[$((i*8))-$((i*8+GPUS-1))]"
  done; } > "$C/gres.conf"
if [ "$ACCT" = 1 ]; then ACCTCONF="AccountingStorageType=accounting_storage/slurmdbd
AccountingStorageHost=127.0.0.1
AccountingStoragePort=$((BASE_PORT+90))
AccountingStoragePass=$C/munge/munge.socket
AccountingStorageTRES=gres/gpu
JobAcctGatherType=jobacct_gather/linux
JobAcctGatherFrequency=task=5"
else ACCTCONF="AccountingStorageType=accounting_storage/none
JobAcctGatherType=jobacct_gather/none"; fi
cat > "$C/slurm.conf" <<X
ClusterName=lab
SlurmctldHost=$HOST(127.0.0.1)
SlurmUser=root
SlurmdUser=root
SlurmctldPort=$BASE_PORT
AuthType=auth/munge
AuthInfo=socket=$C/munge/munge.socket
CredType=cred/munge
StateSaveLocation=$C/state
SlurmdSpoolDir=$C/spool/%n
SlurmctldPidFile=$P/slurmctld.pid
SlurmdPidFile=$P/slurmd-%n.pid
SlurmctldLogFile=$C/log/slurmctld.log
SlurmdLogFile=$C/log/slurmd-%n.log
SlurmctldDebug=info
SlurmdDebug=info
ProctrackType=$PROCTRACK
TaskPlugin=$TASKPLUGIN
SwitchType=switch/none
MpiDefault=none
ReturnToService=2
SlurmdParameters=config_overrides
GresTypes=gpu
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
DefMemPerCPU=100
SchedulerType=sched/backfill
SchedulerParameters=sched_min_interval=0,batch_sched_delay=0,bf_interval=2,sched_interval=2
PreemptType=preempt/partition_prio
PreemptMode=REQUEUE
JobRequeue=1
MinJobAge=$MINJOBAGE
KillWait=${KILLWAIT:-5}
SlurmdTimeout=${SLURMDTIMEOUT:-20}
InactiveLimit=0
MaxArraySize=1001
${EXTRA_CONF:-}
$ACCTCONF
NodeName=n[1-$NODES] NodeHostname=$HOST NodeAddr=127.0.0.1 Port=$((BASE_PORT+1))-$((BASE_PORT+NODES)) CPUs=$CPUS RealMemory=$MEM $([ "$GPUS" -gt 0 ] && echo "Gres=gpu:fake:$GPUS") State=UNKNOWN
PartitionName=main Nodes=n[1-$NODES] Default=YES MaxTime=INFINITE DefaultTime=60 PriorityTier=1 State=UP OverSubscribe=NO
PartitionName=prio Nodes=n[1-$NODES] MaxTime=INFINITE DefaultTime=60 PriorityTier=10 PreemptMode=OFF State=UP
X
# slurmd -N wants Port=a-b spelled as a bracket list in 22.05
sed -i -E "s/Port=([0-9]+)-([0-9]+)/Port=[\1-\2]/" "$C/slurm.conf"
[ "$LINK_ETC" = 1 ] && { mkdir -p /etc/slurm; ln -sf "$C/slurm.conf" /etc/slurm/slurm.conf; }
lap "munge + config"

# --- accounting: private mariadbd + slurmdbd -----------------------------------------------------
if [ "$ACCT" = 1 ]; then
  DBP=$((BASE_PORT+91)); D=$C/mysql
  if ! alive mariadbd; then
    [ -d "$D/mysql" ] || mariadb-install-db --no-defaults --datadir="$D" --user=root --auth-root-authentication-method=normal --skip-test-db --skip-log-bin >"$C/log/mariadb-install.log" 2>&1
    cat > "$C/etc/init.sql" <<X
CREATE USER IF NOT EXISTS 'slurm'@'127.0.0.1' IDENTIFIED BY 'slurm';
GRANT ALL ON slurm_acct.* TO 'slurm'@'127.0.0.1';
X
    setsid mariadbd --no-defaults --datadir="$D" --user=root --socket="$C/run/mysql.sock" --pid-file="$P/mariadbd.pid" \
      --bind-address=127.0.0.1 --port=$DBP --skip-name-resolve --init-file="$C/etc/init.sql" \
      --innodb-flush-log-at-trx-commit=0 --skip-log-bin --innodb-buffer-pool-size=64M --innodb-lock-wait-timeout=900 --performance-schema=OFF \
      >"$C/log/mariadbd.log" 2>&1 </dev/null &
    waitfor 60 port_open $DBP
    lap "mariadbd up"
  fi
  if ! alive slurmdbd; then
    cat > "$C/slurmdbd.conf" <<X
AuthType=auth/munge
AuthInfo=socket=$C/munge/munge.socket
DbdHost=localhost
DbdAddr=127.0.0.1
DbdPort=$((BASE_PORT+90))
SlurmUser=root
LogFile=$C/log/slurmdbd.log
PidFile=$P/slurmdbd.pid
StorageType=accounting_storage/mysql
StorageHost=127.0.0.1
StoragePort=$DBP
StorageUser=slurm
StoragePass=slurm
StorageLoc=slurm_acct
CommitDelay=0
X
    chmod 600 "$C/slurmdbd.conf"
    slurmdbd
    waitfor 60 port_open $((BASE_PORT+90))
    lap "slurmdbd up"
  fi
  if [ ! -e "$C/.acct_ok" ]; then
    waitfor 30 sacctmgr -n list cluster
    sacctmgr -i add cluster lab >/dev/null 2>&1 || true
    sacctmgr -i add account lab Cluster=lab >/dev/null 2>&1 || true
    sacctmgr -i add user root Account=lab >/dev/null 2>&1 || true
    touch "$C/.acct_ok"; lap "account lab, user root"
  fi
fi

# --- slurmctld, slurmds --------------------------------------------------------------------------
alive slurmctld || { slurmctld; lap "slurmctld started"; }
for i in $(seq 1 "$NODES"); do alive slurmd-n$i || { mkdir -p "$C/spool/n$i"; slurmd -N n$i; }; done
waitfor 30 scontrol ping
nodes_idle() { [ "$(sinfo -h -N -p main -o '%T' | grep -cE '^(idle|mixed|allocated|completing)$')" -ge "$NODES" ]; }
# a node that was DOWN from a killed slurmd comes back by itself (ReturnToService=2)
waitfor 30 nodes_idle
lap "ready: $(sinfo -h -p main -o '%D nodes %t')"
echo "export SLURM_CONF=$SLURM_CONF"
