"""`ghostpad lab bench policy`: what a chunk of the policy costs on this machine, beside the reference's schedule."""

from pathlib import Path
from typing import Any

from ghostpad.lab.bench.common import check_counts, processor, show, spread_words


def bench_policy(
    *,
    run: Path | None = None,
    batch: int = 1,
    repeats: int = 5,
    threads: int = 2,
    bf16: bool = False,
    compile: bool = False,
    out: Path | None = None,
    quick: bool = False,
) -> None:
    """Measure a chunk of the policy by the reference's schedule, which repeats the mixer at every step, and by ours at 16, 8 and 4 steps.

    The policy has the size of NitroGen's released one (494 million weights) and random weights, so the deviations at fewer steps say how
    far ours is from the reference, not what fewer steps do to a trained one. Ways take turns; prints medians and ranges. Uses the GPU
    where there is one. Takes about two minutes on two cores, and 5 GB of memory.

    Args:
        run: The run folder of a policy with a SigLIP encoder to measure instead, such as an imported NitroGen.
        batch: Games played at once.
        repeats: How often each way is measured.
        threads: CPU threads of torch.
        bf16: Compute everything in bfloat16.
        compile: Compile the slow parts of ours (torch.compile); the first chunk then takes minutes.
        out: The JSON file to write.
        quick: A tiny policy: shows that it works, measures little.
    """
    check_counts(batch=batch, repeats=repeats, threads=threads)
    import torch  # here, because it takes seconds to import

    from ghostpad.lab.bench.policy_timing import time_chunks
    from ghostpad.lab.made_up.nitrogen_policy import random_policy
    from ghostpad.policy import load as load_policy

    torch.set_num_threads(threads)
    policy = random_policy(tiny=quick) if run is None else load_policy(run)
    policy.to("cuda" if torch.cuda.is_available() else "cpu").quicken(bf16=bf16)
    report = time_chunks(policy, batch, repeats, compile)
    gpu = torch.cuda.get_device_name() if torch.cuda.is_available() else None
    report |= {"weights": sum(weight.numel() for weight in policy.parameters()), "bf16": bf16, "compiled": compile}
    report |= {"machine": {"processor": processor(), "threads": threads, "gpu": gpu, "torch": torch.__version__}}
    report |= {"gpu_memory_mb": torch.cuda.max_memory_allocated() / 1e6 if gpu else None}
    show(report, out, bench_text(report))


def bench_text(report: dict[str, Any]) -> str:
    """The lines that the command prints of its report."""
    machine, reference = report["machine"], report["reference"]
    where = machine["gpu"] or f"{machine['processor']}, {machine['threads']} threads"
    how = ("bf16" if report["bf16"] else "fp32") + (", compiled" if report["compiled"] else "")
    games = "one game" if report["batch"] == 1 else f"{report['batch']} games at once"
    lines = [
        f"{report['weights'] / 1e6:.1f} million weights, {how}, {games}, {where}",
        f"seconds a chunk, median (least to largest) of {report['repeats']}:",
        f"  (a) the reference's schedule, {reference['steps']} steps: {spread_words(reference['s'], '.3g')}",
    ]
    for name, ours in [("layers unpacked", report["unpacked"]), *(("ours", entry) for entry in report["ours"])]:
        apart = ours["deviation"]
        lines.append(
            f"  {name}, {ours['steps']:>2} steps: {spread_words(ours['s'], '.3g')}; {spread_words(ours['faster'], '.3g')} times faster; "
            f"actions differ from (a) by {apart['mean']:.2g}, at most {apart['max']:.2g}"
        )
    if report["gpu_memory_mb"] is not None:
        lines.append(f"  peak GPU memory: {report['gpu_memory_mb']:.0f} MB")
    return "\n".join(lines)
