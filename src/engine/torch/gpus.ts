/**
 * Cards by the names that recipes give them. Memory as PyTorch finds it there, and the two rates that bound what FSDP2
 * can do, by the maker's data sheets (NVIDIA H100, H200, A100 and L40S; the white paper of the Ada architecture for the
 * RTX 4090): products in bfloat16 with sums in float32, without sparsity, and bytes a second one way to the next card.
 */
export const GPUS = ["h100", "h200", "a100", "l40s", "4090"] as const;
export type GpuName = (typeof GPUS)[number];

export interface Gpu {
  readonly title: string;
  readonly memoryBytes: number;
  readonly operationsPerSecond: number;
  /** NVLink, or PCIe 4.0 with 16 lanes. */
  readonly linkBytesPerSecond: number;
}

const CARDS: Readonly<Record<GpuName, Gpu>> = {
  h100: { title: "H100 (80 GB, SXM)", memoryBytes: 84.9e9, operationsPerSecond: 989e12, linkBytesPerSecond: 450e9 },
  h200: { title: "H200 (141 GB, SXM)", memoryBytes: 150e9, operationsPerSecond: 989e12, linkBytesPerSecond: 450e9 },
  a100: { title: "A100 (80 GB, SXM)", memoryBytes: 84.9e9, operationsPerSecond: 312e12, linkBytesPerSecond: 300e9 },
  l40s: { title: "L40S (48 GB)", memoryBytes: 47.7e9, operationsPerSecond: 362e12, linkBytesPerSecond: 32e9 },
  "4090": { title: "RTX 4090 (24 GB)", memoryBytes: 25.4e9, operationsPerSecond: 165e12, linkBytesPerSecond: 32e9 },
};

export function gpuOf(name: GpuName): Gpu {
  return CARDS[name];
}

/** The card that PyTorch calls so ("NVIDIA H100 80GB HBM3"), with the memory that it has; undefined of one that is not here. */
export function gpuCalled(reported: string, memoryBytes: number): Gpu | undefined {
  const words = reported.toLowerCase().split(/[\s-]+/);
  const name = GPUS.find((candidate) => words.includes(candidate));
  return name === undefined ? undefined : { ...CARDS[name], title: reported, memoryBytes };
}
