#!/bin/bash
# Inside the MPI image, as an ordinary user: a worker's sshd lets the key of the job in, and the launcher's
# mpirun trains.
set -euo pipefail
export SSH_KEYS=/tmp/keys
mkdir -p "$SSH_KEYS"
ssh-keygen -q -t rsa -N '' -f "$SSH_KEYS/id_rsa"
cp "$SSH_KEYS/id_rsa.pub" "$SSH_KEYS/authorized_keys"
chmod 640 "$SSH_KEYS"/*  # as a volume with fsGroup shows them

/opt/trireme/bin/mpi_entrypoint.sh worker 2>/tmp/sshd.log &
sshd=$!
trap 'kill $sshd' EXIT
ssh=(ssh -i /tmp/id -p 2222 -o BatchMode=yes -o StrictHostKeyChecking=no -o LogLevel=ERROR
  -o UserKnownHostsFile=/dev/null)
install -m 600 "$SSH_KEYS/id_rsa" /tmp/id
for _ in $(seq 100); do
  "${ssh[@]}" 127.0.0.1 true 2>/dev/null && break
  sleep 0.1
done
"${ssh[@]}" 127.0.0.1 /opt/trireme/bin/trireme-train --version

# What the launcher pod does; ranks on one node are its own, so mpirun itself needs no ssh here.
cd /tmp
TRIREME_METRICS=off /opt/trireme/bin/mpi_entrypoint.sh launch --oversubscribe --bind-to none -np 2 \
  /opt/trireme/bin/trireme-train gpt --data /data --layers 1 --heads 2 --dim 32 --context 32 \
  --batch 4 --steps 5 --out /tmp/mpi-run
grep '"world_size": 2' /tmp/mpi-run/summary.json
