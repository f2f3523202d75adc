#!/bin/bash
# A study on several nodes of Slurm: sbatch docs/clusters/slurm.sh studies/quickstart.yaml
# Ray is started on every node, the study runs on the first, and both end together. Submitted again, it goes on.
# Checked offline by `spikeslab cluster check`; not yet run by Slurm.
#SBATCH --job-name=spikeslab
#SBATCH --nodes=2
#SBATCH --ntasks-per-node=1
#SBATCH --cpus-per-task=8
#SBATCH --time=08:00:00
#SBATCH --signal=B:TERM@120
set -euo pipefail

source ~/venv/bin/activate  # with spikeslab, on a file system that every node sees

# A token of this job's own: whoever has none cannot run code on its nodes.
export RAY_AUTH_MODE=token RAY_AUTH_TOKEN_PATH="$SLURM_SUBMIT_DIR/.ray-token-$SLURM_JOB_ID"
(umask 077 && python3 -c 'import secrets; print(secrets.token_hex(32))' > "$RAY_AUTH_TOKEN_PATH")
driver="$SLURM_SUBMIT_DIR/.driver-$SLURM_JOB_ID"  # its process, on the first node, as is this script
trap 'rm -f "$RAY_AUTH_TOKEN_PATH" "$driver"' EXIT

# A folder of this job's own on every node, as in Ray's, which else is /tmp/ray, each user of the node may write.
export RAY_TMPDIR="/tmp/spikeslab-$SLURM_JOB_ID-${SLURM_RESTART_COUNT:-0}"
srun --ntasks-per-node=1 mkdir -m 700 "$RAY_TMPDIR"

export RAY_SYMMETRIC_RUN_CLUSTER_WAIT_TIMEOUT=300
head=$(scontrol show hostnames "$SLURM_JOB_NODELIST" | head -n 1)
port=$((20000 + SLURM_JOB_ID % 20000))

# The warning goes to the driver alone, which stores what is trained: Ray, and all that it started, would end at once.
trap 'kill -TERM "$(cat "$driver")"' TERM

# Its exit status says nothing of the study: Ray's command has ended with 1 after a study that was done.
srun --cpus-per-task="$SLURM_CPUS_PER_TASK" ray symmetric-run --address "$head:$port" --min-nodes "$SLURM_JOB_NUM_NODES" \
  --num-cpus "$SLURM_CPUS_PER_TASK" --dashboard-host=127.0.0.1 \
  -- sh -c 'echo $$ > "$0"; exec spikeslab run "$@"' "$driver" "$1" --address auto --results "$SLURM_SUBMIT_DIR/results" &
wait $! || wait $!  # a signal ends the first
