"""The sessions of a model with state, as Triton's configuration keeps them: the steps of one go to one
instance in their order, and what a step leaves is given to the next (docs/decisions/0061).
"""

from tritonclient.grpc.model_config_pb2 import DataType, ModelConfig, ModelSequenceBatching

from regard.contract.card import Card
from regard.contract.names import START
from regard.contract.state import State

MICROSECONDS = 1_000_000  # in a second
MOST_SESSIONS = 64  # of each instance at a time; more wait until one ends or is idle for too long


def hidden(card: Card) -> frozenset[str]:
    """Inputs and outputs of the graph that no caller sees: what begins a session, and the state."""
    if card.state is None:
        return frozenset()
    tensors = card.state.tensors
    return frozenset({START, *(each.name for each in tensors), *(each.next for each in tensors)})


def keep_sessions(config: ModelConfig, state: State) -> None:
    """Let a configuration batch sequences: by `oldest`, since by `direct` a caller would wait in silence for
    a slot.
    """
    batching = config.sequence_batching
    batching.max_sequence_idle_microseconds = round(state.idle_seconds * MICROSECONDS)
    batching.oldest.max_candidate_sequences = MOST_SESSIONS
    begin = batching.control_input.add(name=START).control.add(fp32_false_true=(0.0, 1.0))
    begin.kind = ModelSequenceBatching.Control.CONTROL_SEQUENCE_START
    for tensor in state.tensors:
        kept = batching.state.add(
            input_name=tensor.name,
            output_name=tensor.next,
            data_type=DataType.TYPE_FP32,
            dims=tensor.dims,
        )
        kept.initial_state.add(
            name=tensor.name, data_type=DataType.TYPE_FP32, dims=tensor.initial_dims, zero_data=True
        )
