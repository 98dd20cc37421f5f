import { expect, test } from "vitest";
import { cacheName, hubNameOf, ownNameOf, parseHubId, printHubId } from "#src/hub/id.js";

const COMMIT = "0123456789abcdef0123456789abcdef01234567";

test("an id is an organisation, a name and perhaps a revision", () => {
  expect(parseHubId("org/name")).toEqual({ repo: "org/name", revision: "main" });
  expect(parseHubId("Qwen/Qwen2.5-0.5B-Instruct@v1.0")).toEqual({
    repo: "Qwen/Qwen2.5-0.5B-Instruct",
    revision: "v1.0",
  });
  expect(parseHubId("org/name@refs/pr/3")).toEqual({ repo: "org/name", revision: "refs/pr/3" });
  expect(printHubId({ repo: "org/name", revision: "main" })).toBe("org/name");
  expect(printHubId({ repo: "org/name", revision: COMMIT })).toBe(`org/name@${COMMIT}`);
});

test("what could lead out of the cache, or is a path, is no id", () => {
  for (const text of [
    "name",
    "/org/name",
    "./org/name",
    "../name",
    "org/../name",
    "org/name/more",
    "org/..",
    "org/.hidden",
    "org/name.git",
    "a--b/c",
    "org/na me",
    "org\\name",
    "org/name@",
    "org/name@../../refs",
    "org/name@a/../b",
    "org/name@/etc",
    "org/name@a b",
    "org/name@https://host/v1",
    "org/näme",
    `org/${"n".repeat(97)}`,
    "",
  ]) {
    expect(parseHubId(text), text).toBeUndefined();
  }
});

test("a folder of the cache says which model it holds", () => {
  const folder = `/home/someone/.cache/huggingface/hub/${cacheName("org/name")}/snapshots/${COMMIT}`;
  expect(hubNameOf(folder)).toBe(`org/name@${COMMIT}`);
  expect(ownNameOf(folder)).toBe("name");
  expect(ownNameOf("org/name@v2")).toBe("name");
  expect(ownNameOf("models/name")).toBe("name");
  expect(ownNameOf("/models/name")).toBe("name");
  for (const other of ["/models/name", `/x/snapshots/${COMMIT}`, "/x/models--org--name/snapshots/main"]) {
    expect(hubNameOf(other), other).toBeUndefined();
  }
});
