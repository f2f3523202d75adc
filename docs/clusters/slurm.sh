#!/bin/bash
# A study on several nodes of Slurm: sbatch docs/clusters/slurm.sh studies/quickstart.yaml
# Ray is started on every node, the study runs on the first, and both end together. Submitted again, it goes on.
# Checked offline by `spikeslab cluster check`; not yet run by Slurm.
#SBATCH --job-name=spikeslab
#SBATCH --nodes=2
#SBATCH --ntasks-per-node=1
#SBATCH --cpus-per-task=8
#SBATCH --time=08:00:00
#SBATCH --signal=TERM@120
set -euo pipefail

source ~/venv/bin/activate  # with spikeslab, on a file system that every node sees

# A token of this job's own: whoever has none cannot run code on its nodes.
export RAY_AUTH_MODE=token RAY_AUTH_TOKEN_PATH="$SLURM_SUBMIT_DIR/.ray-token-$SLURM_JOB_ID"
(umask 077 && python3 -c 'import secrets; print(secrets.token_hex(32))' > "$RAY_AUTH_TOKEN_PATH")
trap 'rm -f "$RAY_AUTH_TOKEN_PATH"' EXIT

export RAY_SYMMETRIC_RUN_CLUSTER_WAIT_TIMEOUT=300
head=$(scontrol show hostnames "$SLURM_JOB_NODELIST" | head -n 1)
port=$((20000 + SLURM_JOB_ID % 20000))

# Its exit status says nothing of the study: Ray's command has ended with 1 after a study that was done.
srun ray symmetric-run --address "$head:$port" --min-nodes "$SLURM_JOB_NUM_NODES" \
  --num-cpus "$SLURM_CPUS_PER_TASK" --dashboard-host=127.0.0.1 \
  -- spikeslab run "$1" --address auto --results "$SLURM_SUBMIT_DIR/results"
