"""Asks a server as OpenAI's Python package does. Reads {"url", "model", "question"}, prints what came back."""

import json
import sys

from openai import NotFoundError, OpenAI

job = json.load(sys.stdin)
client = OpenAI(base_url=f"{job['url']}/v1", api_key="none", max_retries=0)
asked = {
    "model": job["model"],
    "messages": [{"role": "user", "content": job["question"]}],
    "temperature": 0,
    "max_tokens": 20,
}
whole = client.chat.completions.create(**asked, logprobs=True, top_logprobs=2)
streamed, usage = "", None
for chunk in client.chat.completions.create(**asked, stream=True, stream_options={"include_usage": True}):
    if chunk.choices:
        streamed += chunk.choices[0].delta.content or ""
    usage = chunk.usage or usage
echoed = client.completions.create(model=job["model"], prompt=job["question"], echo=True, logprobs=1, max_tokens=1)
try:
    client.chat.completions.create(**{**asked, "model": "another"})
    refusal = None
except NotFoundError as error:
    refusal = error.code
print(
    json.dumps(
        {
            "models": [model.id for model in client.models.list()],
            "whole": whole.choices[0].message.content,
            "logprobs": [token.logprob for token in whole.choices[0].logprobs.content],
            "streamed": streamed,
            "tokens": usage.completion_tokens,
            "echoed": echoed.choices[0].logprobs.token_logprobs,
            "refusal": refusal,
        }
    )
)
