#!/bin/bash
# One torchrun a node of the allocation, on the job folder that comes as the last argument: `launch` of a recipe.
head=$(scontrol show hostnames "$SLURM_JOB_NODELIST" | head -n 1)
# Of its own each time: the port of the job before may still be closing.
port=$((20000 + ($$ + SLURM_JOB_ID) % 20000))
exec srun --ntasks-per-node=1 --kill-on-bad-exit=1 ${PYTHON:-python3} -m torch.distributed.run \
  --nnodes "$SLURM_NNODES" --nproc-per-node "${PROCESSES:-gpu}" \
  --rdzv-backend c10d --rdzv-endpoint "$head:$port" --rdzv-id "$SLURM_JOB_ID-$port" \
  --log-dir "${!#}/logs" \
  -m fusechat_torch "$@"
