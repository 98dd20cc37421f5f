"""TRL's SFTTrainer on the same batches, with its own defaults (gradient checkpointing among them) where nothing is said."""

import torch
from datasets import Dataset
from measure import DEVICE, DTYPE, JOB, Clock
from safetensors.torch import load_file
from tokenizers import Tokenizer, models
from torch.utils.data import SequentialSampler
from transformers import AutoModelForCausalLM, PreTrainedTokenizerFast, TrainerCallback
from trl import SFTConfig, SFTTrainer

data = load_file(JOB["sequences"])
start, row = data["sequence_start"].tolist(), data["row_start"].tolist()
records = []
for n in (n for members in JOB["batches"] for n in members):
    mask = torch.zeros(start[n + 1] - start[n], dtype=torch.long)
    mask[data["position"][row[n] : row[n + 1]].long()] = 1
    records.append({"input_ids": data["ids"][start[n] : start[n + 1]].tolist(), "completion_mask": mask.tolist()})

clock, losses = Clock(), []


class Timed(TrainerCallback):
    def on_train_begin(self, *_, **__):
        clock()

    def on_step_end(self, *_, **__):
        clock()

    def on_log(self, args, state, control, logs=None, **_):
        if logs and "loss" in logs:
            losses.append(logs["loss"])


class InOrder(SFTTrainer):
    def _get_train_sampler(self, dataset=None):
        return SequentialSampler(dataset or self.train_dataset)


# Nothing is tokenised; it asks for one all the same, whose padding is then masked.
tokenizer = PreTrainedTokenizerFast(
    tokenizer_object=Tokenizer(models.WordLevel({"<pad>": 0, "<eos>": 1}, "<pad>")), pad_token="<pad>", eos_token="<eos>"
)
arguments = SFTConfig(
    output_dir=JOB["out"],
    per_device_train_batch_size=len(JOB["batches"][0]),
    max_steps=len(JOB["batches"]),
    learning_rate=1e-5,
    lr_scheduler_type="constant",
    weight_decay=0.0,
    max_grad_norm=1.0,
    bf16=torch.bfloat16 == DTYPE,
    use_cpu=DEVICE.type == "cpu",
    dataloader_pin_memory=DEVICE.type == "cuda",
    completion_only_loss=True,
    max_length=None,
    logging_steps=1,
    save_strategy="no",
    report_to="none",
    disable_tqdm=True,
)
model = AutoModelForCausalLM.from_pretrained(JOB["model"], dtype=torch.float32)
InOrder(
    model=model, args=arguments, train_dataset=Dataset.from_list(records), processing_class=tokenizer, callbacks=[Timed()]
).train()
clock.report(losses=losses)
