"""The rooms trainer: the same twice, the same when stopped between, and prompts exactly as the engine writes them."""

from __future__ import annotations

import math
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from random import Random

import cv2
import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from llava_ov_ros.asking import Ask
from llava_ov_ros.frames import Clip, Frame
from llava_ov_ros.onevision.checkpoint import load_checkpoint
from llava_ov_ros.onevision.checkpoint_files import open_checkpoint
from llava_ov_ros.onevision.engine import Engine
from llava_ov_ros.onevision.pixels import normalised
from llava_ov_ros.onevision.tokens import PromptTokenizer
from llava_ov_ros.rooms.room_questions import Question, questions
from llava_ov_ros.rooms.takes import make_take, pictures
from llava_ov_ros.rooms.view import make_view
from llava_ov_ros.rooms.world import COLOURS, HELD_OUT_COLOURS, HELD_OUT_PLACES, KINDS, RECEPTACLES

ROOMS = Path(__file__).resolve().parents[2] / "tools" / "rooms"


def train(out: Path, *arguments: str) -> dict[str, torch.Tensor]:
    options = ("--recipe", "smoke", "--precision", "float32", "--out", str(out))
    command = [sys.executable, str(ROOMS / "train.py"), *options, *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return load_file(out / "checkpoint" / "model.safetensors")


def same(a: dict[str, torch.Tensor], b: dict[str, torch.Tensor]) -> bool:
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


@pytest.mark.long
def test_training_twice_gives_identical_weights(tmp_path):
    first = train(tmp_path / "first", "--processes", "2")
    assert same(first, train(tmp_path / "second", "--processes", "2"))


@pytest.mark.long
def test_a_run_that_was_stopped_ends_like_one_that_was_not(tmp_path):
    whole = train(tmp_path / "whole", "--processes", "1", "--decay", "0")
    half = train(tmp_path / "parts", "--processes", "1", "--decay", "0", "--steps", "3")
    assert not same(whole, half)
    assert same(whole, train(tmp_path / "parts", "--processes", "1", "--decay", "0"))


@pytest.mark.long
def test_training_with_strangers_learns_something_else_and_stops_where_there_is_none(tmp_path):
    without = train(tmp_path / "without", "--processes", "1")
    folder = photographs(tmp_path / "photographs")
    assert not same(without, train(tmp_path / "with", "--processes", "1", "--strangers", str(folder)))
    (empty := tmp_path / "empty").mkdir()
    command = [sys.executable, str(ROOMS / "train.py"), "--out", str(tmp_path / "no"), "--strangers", str(empty)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert f"{empty}: has no picture" in done.stderr
    assert not (tmp_path / "no").exists()


def photographs(folder: Path) -> Path:
    """A folder with two pictures of random colours, one of them in a folder of its own, and a file that is none."""
    (folder / "more").mkdir(parents=True)
    for seed, name in enumerate(("one.PNG", "more/two.jpg")):
        blocks = np.random.default_rng(seed).integers(0, 256, (15, 20, 3), dtype=np.uint8)
        cv2.imwrite(str(folder / name), blocks.repeat(20, 0).repeat(20, 1))
    (folder / "notes.txt").write_text("no picture")
    return folder


@pytest.fixture(scope="module")
def tools():
    """The trainer's modules, found as its scripts find each other."""
    sys.path.insert(0, str(ROOMS))
    import batches
    import cells
    import labels
    import learner
    import model
    import nameless
    import recipe
    import strangers
    import tokenizer
    import unseen

    modules = (batches, cells, labels, learner, model, nameless, recipe, strangers, tokenizer, unseen)
    yield {module.__name__: module for module in modules}
    sys.path.remove(str(ROOMS))


@pytest.fixture(scope="module")
def made(tools, tmp_path_factory):
    """Packer, and a new model in float32 as its checkpoint has it."""
    tokenizer = tools["tokenizer"].build_tokenizer(300)
    folder = tmp_path_factory.mktemp("new") / "checkpoint"
    tools["model"].write_checkpoint(tools["model"].new_model(tokenizer, 3), tokenizer, folder)
    checkpoint = load_checkpoint(open_checkpoint(folder), torch.device("cpu"), torch.float32, "sdpa")
    checkpoint.fill_modules()
    rows = checkpoint.model.config.text_config.vocab_size
    packer = tools["batches"].Packer(PromptTokenizer(tokenizer), tokenizer.token_to_id("<|im_end|>"), rows)
    return packer, checkpoint


def test_training_can_begin_with_a_checkpoint(tools, tmp_path):
    tokenizer, model = tools["tokenizer"].build_tokenizer(300), tools["model"]
    begun, other = model.new_model(tokenizer, 3), model.new_model(tokenizer, 4)
    model.write_checkpoint(begun, tokenizer, tmp_path / "checkpoint")
    model.read_checkpoint(other, tokenizer, tmp_path / "checkpoint")
    expected = {name: tensor.bfloat16().float() for name, tensor in begun.state_dict().items()}
    assert same(other.state_dict(), expected)
    tokenizer.add_tokens(["dishwasher"])
    with pytest.raises(ValueError, match=r"tokenizer.json: has other words than these rooms"):
        model.read_checkpoint(other, tokenizer, tmp_path / "checkpoint")


def test_every_word_of_the_world_is_one_token(tools):
    tokenizer = tools["tokenizer"].build_tokenizer()
    for word in (*KINDS, *COLOURS, *RECEPTACLES):
        for text in (word, f" {word}"):
            assert len(tokenizer.encode(text).ids) == 1, text


@pytest.mark.parametrize(("mode", "frames"), [("video", 1), ("video", 4), ("multi_image", 2), ("image", 1)])
def test_a_question_among_many_sees_what_the_engine_shows(tools, made, mode, frames):
    """Scores of each answer's first token, packed behind one clip and asked alone, are the same numbers."""
    packer, checkpoint = made
    take = make_take(Random(frames), frames)
    seen = pictures(take, Random(5))
    asked = [Question("colour", f"What colour is the {kind}?", "red") for kind in KINDS[:5]]
    picture = (seen[0].shape[0], seen[0].shape[1])
    learner = tools["learner"].Learner(Engine(checkpoint).transformers_model, packer)
    learner.model.set_attn_implementation(tools["model"].PLAIN_ATTENTION)
    rows = tools["batches"].pack(packer, [asked], [{}], mode, frames, picture, 256)
    tiles = torch.cat([tools["batches"]._tiles(rgb, mode) for rgb in seen])
    batch = tools["batches"].Batch(mode, frames, tiles, picture, None, tiles[:0], tiles[:0], *rows)
    with torch.no_grad():
        tower = learner.model.model.vision_tower(normalised(tiles, torch.float32), output_hidden_states=True)
        features = learner.model.model.multi_modal_projector(tower.hidden_states[-1])
        states, _ = learner.hidden(batch, learner._visual_tokens(batch, features))
        packed = learner.model.lm_head(states)[0]
    learner.model.set_attn_implementation("sdpa")
    clip = Clip("camera", tuple(Frame("camera", i, "", rgb) for i, rgb in enumerate(seen)))
    engine = Engine(checkpoint)
    for number, question in enumerate(asked, 1):
        first = int((batch.segment[0] == number).nonzero()[0]) + len(packer.prompt(question.text, mode, frames)[1]) - 1
        alone = []

        def hook(tokens, logits, alone=alone):
            alone.append(logits.clone())
            return logits

        engine.answer_many([clip], [Ask(question.text, 1, hook=hook)], mode=mode)
        torch.testing.assert_close(packed[first], alone[0].flatten(), atol=2e-4, rtol=1e-3)
    assert len({packed[i].argmax().item() for i in range(packed.shape[0])}) > 1


def test_a_combination_that_is_never_shown_is_not_learnt_to_be_wrong(tools, made):
    packer, _ = made
    unseen, word = packer.unseen, packer.word
    kind, colour = next(iter(HELD_OUT_COLOURS.items()))
    place = HELD_OUT_PLACES[kind]
    right = next(other for other in COLOURS if other != colour)
    for question, answer, at, never in (
        (f"What colour is the {kind}?", right, 0, word(colour)),
        ("What is left of it?", f"the {right} {kind}", 1, word(f" {colour}")),
        (f"Where is the {right} {kind}?", f"on the {next(p for p in RECEPTACLES if p != place)}", 2, word(f" {place}")),
        ("What is left of it?", f"the {colour} {next(k for k in KINDS if k != kind)}", 2, word(f" {kind}")),
    ):
        asked, said = packer.prompt(question, "video", 1)[1], packer.answer(answer)
        rules = unseen.rules(asked, said)
        excluded, others = unseen.excluded[rules], unseen.others[rules]
        assert excluded[at, never], (question, answer)
        assert not others[at, never]
        assert not excluded[range(len(said)), said].any()
        scores = torch.zeros(len(said), excluded.shape[1], requires_grad=True)
        tools["unseen"].possible_loss(scores, torch.tensor(said), excluded, others, 0.0).sum().backward()
        gradient = scores.grad[at]
        assert gradient[never] == 0
        assert gradient[said[at]] < 0 < gradient[others[at] & (torch.arange(len(gradient)) != said[at])].min()
        # Drawn to the others, up from below and down from above.
        for start, sign in ((-5.0, -1), (5.0, 1)):
            scores = torch.zeros(len(said), excluded.shape[1])
            scores[at, never] = start
            scores.requires_grad_()
            tools["unseen"].possible_loss(scores, torch.tensor(said), excluded, others, 0.1).sum().backward()
            assert torch.sign(scores.grad[at, never]) == sign
    assert unseen.rules(*[packer.prompt("How many are there?", "video", 1)[1], packer.answer("two")]) == [0, 0]


def test_training_shows_no_held_out_combination_as_an_answer_left_out(tools, made):
    """What is wanted is never left out, but where a plan goes to fetch something else."""
    packer, _ = made
    left_out = 0
    for seed in range(150):
        for question in questions(make_take(Random(seed), 4), Random(seed), each=2):
            said = packer.answer(question.gold)
            rules = packer.unseen.rules(packer.prompt(question.text, "video", 4)[1], said)
            wanted = packer.unseen.excluded[rules][range(len(said)), said]
            assert question.category in ("plan", "next_step") or not wanted.any(), question
            left_out += sum(rule > 0 for rule in rules)
    assert left_out > 500


def test_cells_are_where_the_picture_shows_the_thing(tools):
    """The label of the patch at a thing's cell is that thing, but where another stands before it."""
    labels, right, total = tools["labels"], 0, 0
    for seed in range(40):
        take = make_take(Random(seed), 1)
        for _, patches, cells in tools["labels"].photographed(take, Random(seed)):
            for index, (column, row) in cells.items():
                total += 1
                right += patches[labels.KIND][row, column] == KINDS.index(take.room.things[index].kind) + 1
    assert total > 80
    assert right / total > 0.9


def test_a_name_is_read_as_the_one_thing_that_it_means(tools, made):
    packer, _ = made
    take = next(t for s in range(99) if (t := make_take(Random(s), 4, event="moved")).mover is not None and alone(t))
    first, *_, last = (cells for _, _, cells in tools["labels"].photographed(take, Random(1)))
    named = tools["cells"].name_cells(take, first, last)
    thing = take.room.things[take.mover]
    where = (*first[take.mover], *last[take.mover])
    assert where[:2] != where[2:]
    tokens = packer.prompt(f"Is the {thing.name} left or right of the {thing.kind}?", "video", 4)[1]
    found = [cells for cells in packer.names.cells(tokens, named) if cells != (tools["cells"].IGNORED,) * 4]
    assert found == [where, where]
    twins = [other for other in COLOURS if other != thing.colour]
    tokens = packer.prompt(f"Is there a {twins[0]} {thing.kind}?", "video", 4)[1]
    assert all(set(cells) == {tools["cells"].IGNORED} for cells in packer.names.cells(tokens, named))


def test_of_nameless_takes_no_colour_is_asked(tools, made):
    packer, checkpoint = made
    stage = replace(tools["recipe"].RECIPES["on"][0], nameless=1.0)
    batch = tools["batches"].draw_batch(stage, ("video", 2, 3), "nameless", packer)
    labels = tools["labels"]
    colours = batch.labels[:, labels.COLOUR][batch.labels[:, labels.KIND] > 0]
    assert set(colours.tolist()) == {tools["cells"].IGNORED}
    for ids, segment, targets in zip(batch.ids, batch.segment, batch.targets, strict=True):
        asked = checkpoint.tokenizer.decode(ids[segment > 0].tolist())
        assert (targets != tools["cells"].IGNORED).any()
        assert not tools["nameless"].COLOUR_WORDS & set(re.findall(r"\w+", asked))
    named = tools["batches"].draw_batch(replace(stage, nameless=0.0), ("video", 2, 3), "nameless", packer)
    assert not (named.labels == tools["cells"].IGNORED).any()


def alone(take) -> bool:
    kinds = [thing.kind for thing in take.room.things]
    return kinds.count(kinds[take.mover]) == 1


def test_nameless_pictures_teach_kinds_but_no_colour(tools):
    labels = tools["labels"]
    pixels, shown = tools["nameless"].nameless_pictures(Random(3), 6)
    assert pixels.shape == (6, 3, 96, 96)
    things = shown[:, labels.KIND] > 0
    assert things.any()
    assert (shown[:, labels.COLOUR][things] == tools["cells"].IGNORED).all()
    assert (shown[:, labels.COLOUR][~things] == 0).all()
    take = make_take(Random(4), 1)
    for thing in tools["nameless"].repainted(take, Random(5)).room.things:
        assert min(math.dist(thing.paint, paint) for paint in COLOURS.values()) > tools["nameless"].UNLIKE
    assert torch.equal(pixels, tools["nameless"].nameless_pictures(Random(3), 6)[0])


@pytest.mark.parametrize(("mode", "frames"), [("video", 4), ("multi_image", 2), ("image", 1)])
def test_whatever_is_asked_of_a_stranger_nobody_can_tell(tools, made, monkeypatch, tmp_path, mode, frames):
    packer, _ = made
    strangers, ignored = tools["strangers"], tools["cells"].IGNORED
    files = strangers.stranger_files(photographs(tmp_path / "photographs"))
    assert [file.name for file in files] == ["two.jpg", "one.PNG"]
    stage = tools["recipe"].RECIPES["on"][0]
    plain = tools["batches"].draw_batch(stage, (mode, frames, 3), "strangers", packer)
    monkeypatch.setattr(tools["batches"], "STRANGE_SHARE", 1.0)
    batch = tools["batches"].draw_batch(stage, (mode, frames, 3), "strangers", packer, strangers=files)
    cannot_tell = packer.answer("cannot tell")
    for row in range(3):
        asked = {number for number in batch.segment[row].tolist() if number > 0}
        assert len(asked) > 3
        for number in asked:
            wanted = batch.targets[row][(batch.segment[row] == number) & (batch.targets[row] != ignored)]
            assert wanted.tolist() == cannot_tell
    assert batch.pixels.shape == plain.pixels.shape
    assert (batch.cells == ignored).all()
    if mode == "video":
        labels = tools["labels"]
        assert not batch.labels[:, [labels.KIND, labels.COLOUR, labels.FURNITURE, labels.PLACE, labels.STATE]].any()
        assert torch.equal(batch.labels[:, labels.COLUMN :], plain.labels[:, labels.COLUMN :])


def test_a_share_of_the_takes_are_strangers_and_none_without_pictures(tools, made, tmp_path):
    packer, _ = made
    files = tools["strangers"].stranger_files(photographs(tmp_path / "photographs"))
    stage, labels = replace(tools["recipe"].RECIPES["on"][0], text_tokens=64), tools["labels"]
    share = {}
    for name, shown in (("with", files), ("without", ())):
        batches = [
            tools["batches"].draw_batch(stage, ("video", 1, 4), f"share/{seed}", packer, strangers=shown)
            for seed in range(40)
        ]
        # A rendered room has furniture; a stranger has none.
        empty = [not one[labels.FURNITURE].any() for batch in batches for one in batch.labels]
        share[name] = sum(empty) / len(empty)
    assert share["without"] == 0
    # 160 takes: four standard deviations of a binomial.
    wanted = tools["strangers"].STRANGE_SHARE
    assert abs(share["with"] - wanted) < 4 * math.sqrt(wanted * (1 - wanted) / 160)


def test_a_stranger_is_seen_through_a_window_that_rests_or_moves(tools, tmp_path):
    strangers = tools["strangers"]
    # Brightness is the column, so that a window shows where it is.
    ramp = np.tile(np.linspace(0, 255, 400, dtype=np.uint8)[None, :, None], (300, 1, 3))
    cv2.imwrite(str(tmp_path / "ramp.png"), ramp)
    view = replace(make_view(Random(1)), width=96, height=72, gain=1.0, tint=(1.0, 1.0, 1.0), slope=(0.0, 0.0))
    view = replace(view, blur=0.0, noise=0.0, jpeg_quality=None, shake=0.0)
    ways = []
    for seed in range(40):
        clip = strangers.strange_clip(tmp_path / "ramp.png", 4, view, Random(seed))
        assert [(rgb.shape, rgb.dtype) for rgb in clip] == [((72, 96, 3), np.dtype(np.uint8))] * 4
        ways.append(float(clip[-1].mean()) - float(clip[0].mean()))
    rests = sum(way == 0 for way in ways)
    assert 8 <= rests <= 32
    assert min(ways) < 0 < max(ways)
    again = strangers.strange_clip(tmp_path / "ramp.png", 4, view, Random(39))
    assert all(np.array_equal(one, other) for one, other in zip(clip, again, strict=True))
    (tmp_path / "broken.png").write_bytes(b"not a picture")
    with pytest.raises(ValueError, match=r"broken.png: cannot be read as a picture: take the file out of the folder"):
        strangers.strange_clip(tmp_path / "broken.png", 1, view, Random(1))
