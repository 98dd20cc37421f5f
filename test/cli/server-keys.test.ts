/** Keys of servers, read from the environment: each goes to its own origin and to no other. */
import { expect, test } from "vitest";
import { serverKeys } from "#src/cli/server-keys.js";

const keysOf = (value: string | undefined) => serverKeys({ FUSECHAT_SERVER_KEYS: value });

test("a key belongs to its origin, whatever the route", () => {
  const keyFor = keysOf("http://gpu:8000=first  https://api.example.org/v1=sk=with=signs\n");
  expect(keyFor("http://gpu:8000")).toBe("first");
  expect(keyFor("http://gpu:8000/v1/completions")).toBe("first");
  expect(keyFor("https://api.example.org")).toBe("sk=with=signs");
});

test.each(["http://gpu:8001", "https://gpu:8000", "http://gpu", "http://gpu:8000.example.org", "gpu:8000", ""])(
  "%j gets no key of another",
  (url) => {
    expect(keysOf("http://gpu:8000=first")(url)).toBeUndefined();
  },
);

test("without the variable there are no keys", () => {
  expect(keysOf(undefined)("http://gpu:8000")).toBeUndefined();
});

test.each(["sk-0123456789", "=sk-0123456789", "http://gpu:8000=", "gpu=sk-0123456789", "http://a=b sk-0123456789"])(
  "what is no ORIGIN=KEY is refused without repeating it",
  (value) => {
    const ask = () => keysOf(value)("http://gpu:8000");
    expect(ask).toThrow("FUSECHAT_SERVER_KEYS: expected http://host:port=KEY, several with spaces between them");
    expect(ask).not.toThrow("0123456789");
  },
);
