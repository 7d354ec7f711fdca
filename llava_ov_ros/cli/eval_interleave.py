"""The command `llava-ov eval interleave`: run LLaVA-Interleave-Bench as published."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from .errors import CommandError
from .model_options import add_device, add_model_name, add_number_format, load_checkpoint
from .options import count
from .parsers import CommandParser

_DESCRIPTION = """\
Run LLaVA-Interleave-Bench (ALFRED, ScanQA, nuScenes, ScanNet-Chat, ScanNet-TD and the other sets) as published:
prompts, pictures and greedy decoding are those of its official code, at most 1024 tokens an answer.

DIR holds the published multi_image_in_domain.json, multi_image_out_domain.json, multi_view_in_domain.json, or some of
them, beside Split1 and Split2, the content of eval_images.zip.

OUT gets result.jsonl, the official result rows, and summary.json, {data set: {"n", "metric", "value"}} with values
times 100. A run that was stopped goes on where it was.
"""
_EPILOG = """\
examples:
  llava-ov eval interleave interleave_data --model llava-hf/llava-onevision-qwen2-7b-ov-hf
  llava-ov eval interleave interleave_data --dataset ALFRED --dataset ScanQA --limit 50

exit codes: 0 fine; 1 an error, such as files that are not as published; 2 wrong usage; 130 Ctrl-C
"""
SUMMARY_FILE = "summary.json"


def add_interleave(evaluation: CommandParser) -> None:
    """Add the command and its options to `eval`."""
    parser = evaluation.add_command(
        "interleave",
        description=_DESCRIPTION,
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.set_defaults(run=run)
    parser.add_argument("folder", type=Path, metavar="DIR", help="the published files")
    parser.add_argument(
        "--images", type=Path, metavar="DIR", help="what their pictures' paths start from (default: DIR)"
    )
    parser.add_argument(
        "--out", type=Path, default=Path("interleave_results"), metavar="DIR", help="results (default: %(default)s)"
    )
    # Its prompts show several whole pictures each, which servers cut into tiles.
    add_model_name(parser, served=False)
    add_device(parser)
    add_number_format(parser)
    parser.add_argument("--dataset", action="append", default=[], metavar="NAME", help="only this data set; repeatable")
    parser.add_argument("--limit", type=count, metavar="N", help="only the first N items of each data set")
    parser.add_argument("--json", action="store_true", help="print the summary as one JSON object")


def run(args: argparse.Namespace) -> int:
    """Run `eval interleave` and return the exit code.

    Raises:
        CommandError: The files are not as published, or the model cannot be loaded.
    """
    from ..evaluation.benchmarks.interleave_items import InterleaveError, read_items, repeated
    from ..evaluation.benchmarks.result_rows import read_rows
    from ..evaluation.benchmarks.row_scores import score_rows
    from .score import print_results

    try:
        items = read_items(args.folder, args.images or args.folder, args.dataset, args.limit)
    except InterleaveError as error:
        raise CommandError(str(error)) from None
    for remark in repeated(items):
        print(f"{args.folder}: {remark}", file=sys.stderr)
    engine = load_checkpoint(args)
    from tqdm import tqdm

    from ..evaluation.benchmarks import interleave_run as interleave

    try:
        with tqdm(total=len(items), unit="item", disable=None, leave=False) as bar:
            file = interleave.run(
                engine, items, args.out, on_item=bar.update, on_remark=lambda text: print(text, file=sys.stderr)
            )
    except InterleaveError as error:
        raise CommandError(str(error)) from None
    results = score_rows(read_rows(file), "interleave")
    summary = json.dumps({name: one.as_dict() for name, one in results.items()}, ensure_ascii=False, indent=2)
    try:
        (args.out / SUMMARY_FILE).write_text(summary + "\n", encoding="utf-8")
    except OSError as error:
        raise CommandError(f"{args.out / SUMMARY_FILE} cannot be written: {error.strerror}") from None
    print_results(results, as_json=args.json, with_categories=True)
    return 0
