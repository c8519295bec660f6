"""Deep feature flow: what is carried, what is computed anew, and when."""

import numpy as np
import pytest
import torch
from tests.models.networks.video import Counted, frames, session, small
from tests.models.parts.test_warp import naive

from regard.contract.reading import card_from_file
from regard.errors import InvalidInput
from regard.models.catalog import build
from regard.models.checkpoint import load_weights, read_state_dict
from regard.models.samples import sample_images
from regard.models.weights_index import shipped


def test_a_still_picture_keeps_the_key_frames_features():
    network = small("dff", interval=4)
    scores, states = session(network, frames(1).expand(4, -1, -1, -1))
    alone = network.segmenter(frames(1))
    assert all((each - alone).abs().max() < 1e-12 for each in scores)
    features = network.segmenter.features(frames(1))
    carried = network.propagate(features, frames(1), frames(1))
    assert (carried - features).abs().max() < 1e-12  # no flow, and a scale of 1
    assert torch.equal(states[-1][0], states[0][0])


def test_a_flow_of_whole_positions_shifts_the_features():
    network = small("dff")
    stride = network.segmenter.stride
    with torch.no_grad():  # the flow network's cells are of 8 pixels
        network.flow.change.bias.copy_(torch.tensor([2.0 * stride / 8, -1.0 * stride / 8]))
    features = network.segmenter.features(frames(1, size=(96, 128)))
    carried = network.propagate(features, *frames(2, size=(96, 128)).split(1))
    assert (carried[:, :, 1:, :-2] - features[:, :, :-1, 2:]).abs().max() < 1e-12


def test_the_scale_begins_at_one_and_multiplies():
    network = small("dff")
    features = network.segmenter.features(frames(1))
    with torch.no_grad():
        network.scale.bias.mul_(3)
    assert (network.propagate(features, frames(1), frames(1)) - 3 * features).abs().max() < 1e-11


def test_features_are_computed_on_key_frames_alone():
    network = small("dff", interval=3)
    counted = Counted(network)
    _, states = session(network, frames(8))
    assert counted.count == 3  # frames 0, 3 and 6
    assert [state[2].item() for state in states] == [1, 2, 3, 1, 2, 3, 1, 2]
    assert torch.equal(states[4][1], frames(8)[3:4])  # the key frame
    assert torch.equal(states[5][0], states[3][0])  # its features
    assert not torch.equal(states[6][0], states[5][0])


def test_an_interval_of_one_is_the_segmenter_itself():
    network = small("dff", interval=1)
    for score, frame in zip(session(network, frames(3))[0], frames(3), strict=True):
        assert torch.equal(score, network.segmenter(frame[None]))


def test_equations(randomized):
    """A frame after the key frame, from the flow, the features and the scale by loops."""
    network = randomized(small("dff"))
    key, frame = frames(2).split(1)
    features = network.segmenter.features(key)
    motion = network.flow(frame, key)
    rows, columns = features.shape[2:]
    grown = torch.nn.functional.interpolate(motion.flow, size=(rows, columns), mode="bilinear")[0]
    ratio = np.array([columns / motion.flow.shape[3], rows / motion.flow.shape[2]])
    carried = naive(features[0].detach().numpy(), grown.detach().numpy() * ratio[:, None, None])
    weight, bias = (each.detach().numpy() for each in (network.scale.weight[:, :, 0, 0], network.scale.bias))
    scale = np.einsum("ch,hij->cij", weight, motion.hidden[0].detach().numpy()) + bias[:, None, None]
    scale = torch.from_numpy(scale)[None]
    scale = torch.nn.functional.interpolate(scale, size=(rows, columns), mode="bilinear")
    found = network.propagate(features, key, frame)[0].detach().numpy()
    assert np.abs(found - carried * scale[0].numpy()).max() < 1e-9 * np.abs(found).max()


def test_each_image_of_a_batch_has_its_own_key_frames():
    network = small("dff", interval=3)
    early, late = session(network, frames(2))[1][-1], session(network, frames(3, seed=1))[1][-1]
    together = [torch.cat(pair) for pair in zip(early, late, strict=True)]  # 2 and 3 frames since the key
    frame = frames(1, seed=2)
    with torch.no_grad():
        scores, *_ = network.step(frame.expand(2, -1, -1, -1), *together)
        apart = [network.step(frame, *state)[0] for state in (early, late)]
    assert (scores - torch.cat(apart)).abs().max() < 1e-12


def test_refuses_an_interval_of_nothing():
    with pytest.raises(InvalidInput, match=r"interval.*0"):
        small("dff", interval=0)


def test_the_trained_flow_sees_a_picture_move():
    """A street scene moved by 16 pixels to the left and 8 down."""
    card, path = card_from_file(shipped()["dff_camvid"]), shipped()["dff_camvid"]
    network = build(card.origin.builder, **card.origin.options).eval()
    load_weights(network, read_state_dict(path.with_suffix(".safetensors")), source="the weights")
    image = torch.from_numpy(sample_images(card)[-1]).permute(2, 0, 1)[None] / 255
    x = (image - torch.tensor(card.input.mean)[:, None, None]) / torch.tensor(card.input.std)[:, None, None]
    with torch.inference_mode():
        flow = 8 * network.flow(x[:, :, :-8, 16:], x[:, :, 8:, :-16]).flow[:, :, 4:-4, 4:-4]
    across, down = flow.flatten(2).median(dim=2).values[0].tolist()
    assert across == pytest.approx(16, abs=2)
    assert down == pytest.approx(-8, abs=2)
