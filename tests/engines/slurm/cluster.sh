#!/usr/bin/env bash
# A Slurm cluster of this one machine, below one directory: `cluster.sh start DIR CTLD_PORT D_PORT…`,
# a node for each port, `cluster.sh stop DIR`. Started by root. Everything is its own: key, sockets,
# state, ports on loopback. Clients need SLURM_CONF=DIR/slurm.conf.
set -euo pipefail

names=(one two three four)

configure() {
    local control=$1 node=0
    shift
    # Without cgroups: processes are followed by their group, which any machine allows.
    cat >"$dir/slurm.conf" <<END
ClusterName=envbox
SlurmctldHost=localhost(127.0.0.1)
SlurmctldPort=$control
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
AuthInfo=socket=$dir/munge/socket,cred_expire=10
CredType=cred/munge
CommunicationParameters=NoAddrCache
StateSaveLocation=$dir/state
SlurmdSpoolDir=$dir/spool/%n
SlurmctldPidFile=$dir/slurmctld.pid
SlurmdPidFile=$dir/slurmd.%n.pid
# As many processors as below, whatever the machine has.
SlurmdParameters=config_overrides
SlurmctldLogFile=$dir/slurmctld.log
SlurmdLogFile=$dir/slurmd.%n.log
ProctrackType=proctrack/pgid
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
SwitchType=switch/none
MpiDefault=none
ReturnToService=2
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
SchedulerParameters=sched_interval=1,batch_sched_delay=0
KillWait=2
SlurmdTimeout=10
PartitionName=all Nodes=ALL Default=YES MaxTime=60 State=UP OverSubscribe=NO
END
    for port in "$@"; do
        cat >>"$dir/slurm.conf" <<END
NodeName=${names[node]} NodeHostname=$(hostname -s) NodeAddr=127.0.0.1 Port=$port CPUs=4 State=UNKNOWN
END
        node=$((node + 1))
    done
}

start() {
    mkdir -p "$dir/munge" "$dir/state" "$dir/spool"
    chmod 755 "$dir" "$dir/munge"
    head -c 128 /dev/urandom >"$dir/munge/key"
    chmod 400 "$dir/munge/key"
    configure "$@"
    munged --key-file "$dir/munge/key" --socket "$dir/munge/socket" --pid-file "$dir/munge/pid" \
        --log-file "$dir/munge/log" --seed-file "$dir/munge/seed" --num-threads 2
    export SLURM_CONF=$dir/slurm.conf
    slurmctld -c
    local nodes=$(($# - 1))
    for name in "${names[@]:0:nodes}"; do
        mkdir -p "$dir/spool/$name"
        slurmd -N "$name" -c
    done
    for _ in $(seq 100); do
        if [ "$(sinfo --noheader --format '%T %D' 2>/dev/null)" = "idle $nodes" ]; then
            return
        fi
        sleep 0.1
    done
    tail -n 20 "$dir/slurmctld.log" "$dir"/slurmd.*.log >&2
    echo "the nodes did not become idle" >&2
    return 1
}

stop() {
    for pid in "$dir"/slurmd.*.pid "$dir/slurmctld.pid" "$dir/munge/pid"; do
        [ -s "$pid" ] && kill "$(cat "$pid")" 2>/dev/null || true
    done
}

verb=$1
dir=$2
shift 2
"$verb" "$@"
