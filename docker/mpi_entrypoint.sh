#!/bin/bash
# Entry point of the MPI image.
#
#   mpi_entrypoint.sh worker          serves ssh until the job ends
#   mpi_entrypoint.sh launch ARGS...  waits for the workers, then `mpirun ARGS...`; SIGTERM makes the
#                                     ranks save a checkpoint and stop, and gives 75
#
# The MPIJob controller mounts the key of the job at SSH_KEYS (default /home/trireme/.ssh).
set -euo pipefail
keys=${SSH_KEYS:-$HOME/.ssh}
state=${TMPDIR:-/tmp}/trireme-ssh
mkdir -p "$state" && chmod 700 "$state"

case ${1:-} in
  worker)
    [ -f "$state/host_key" ] || ssh-keygen -q -t ed25519 -N '' -f "$state/host_key"
    exec /usr/sbin/sshd -De -f /opt/trireme/etc/sshd_config -o "HostKey $state/host_key" \
      -o "PidFile $state/sshd.pid" -o "AuthorizedKeysFile $keys/authorized_keys"
    ;;
  launch)
    shift
    # ssh refuses a key that a group may read, which is how a volume with fsGroup shows it.
    install -m 600 "$keys/id_rsa" "$state/id"
    rsh_args="-i $state/id -p 2222 -o BatchMode=yes -o ConnectTimeout=10 -o ConnectionAttempts=30"
    rsh_args+=" -o StrictHostKeyChecking=accept-new -o UserKnownHostsFile=$state/known_hosts"
    rsh_args+=" -o LogLevel=ERROR"
    # SIGTERM to mpirun kills the ranks within two seconds, so it gets what it only passes on. A
    # second SIGTERM asks for nothing new.
    stopped=no
    mpirun --mca plm_rsh_args "$rsh_args" --mca plm_rsh_no_tree_spawn 1 "$@" &
    trap 'stopped=yes; trap "" TERM; kill -USR1 $!' TERM
    code=0
    wait $! || code=$?
    if [ $stopped = yes ]; then  # then that wait ended early
      code=0
      wait $! || code=$?
      [ $code -ne 0 ] || code=75
    fi
    exit $code
    ;;
  *)
    exec "$@"
    ;;
esac
