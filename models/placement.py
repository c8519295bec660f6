"""Where attention goes in a backbone of residual blocks, and how it is put there."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import Enum
from itertools import chain
from typing import Protocol

from torch import nn


class Placement(Enum):
    """Where a mechanism goes. Stages are called res2 to res5, as in the papers; they end at strides 4, 8, 16
    and 32.
    """

    EVERY_BLOCK = "on the residual branch of every block, before the sum"
    EVERY_BLOCK_FROM_RES3 = "on the residual branch of every block of res3, res4 and res5, before the sum"
    AFTER_SPATIAL = "after the last 3x3 convolution of every block, before its BatchNorm"
    SPATIAL_FROM_RES3 = "instead of the last 3x3 convolution of every block of res3, res4 and res5"
    BETWEEN_STAGES = "after res2, res3 and res4"
    BEFORE_LAST_BLOCK = "after the last block but one of res4"
    AFTER_LAST_STAGE = "after res5"


@dataclass(frozen=True)
class Mechanism:
    """An attention mechanism: how to build it for C channels, where it goes, and where it comes from."""

    build: Callable[[int], nn.Module]
    placement: Placement
    paper: str
    year: int


class ResidualBlock(Protocol):
    """What a backbone's block offers. `attention` and `context` start as the identity.

    Attributes:
        attention: acts on the residual branch, before the sum.
        context: acts on the block's result.
        out_channels: of the block's result.
        spatial_channels, spatial_stride: of the last 3x3 convolution.
    """

    attention: nn.Module
    context: nn.Module
    out_channels: int
    spatial_channels: int
    spatial_stride: int

    def follow_spatial(self, module: nn.Module) -> None:
        """Put a module after the last 3x3 convolution, before its BatchNorm."""

    def replace_spatial(self, module: nn.Module) -> None:
        """Put a module in the place of the last 3x3 convolution."""


def place(mechanism: Mechanism, stages: Sequence[Sequence[ResidualBlock]]) -> list[nn.Module]:
    """Put a mechanism into the blocks of the four stages res2 to res5, where its placement says, and return
    the modules that were put there.
    """
    match mechanism.placement:
        case Placement.EVERY_BLOCK:
            return [_on_branch(mechanism, block) for block in chain.from_iterable(stages)]
        case Placement.EVERY_BLOCK_FROM_RES3:
            return [_on_branch(mechanism, block) for block in chain.from_iterable(stages[1:])]
        case Placement.AFTER_SPATIAL:
            return [_after_spatial(mechanism, block) for block in chain.from_iterable(stages)]
        case Placement.SPATIAL_FROM_RES3:
            return [_instead_of_spatial(mechanism, block) for block in chain.from_iterable(stages[1:])]
        case Placement.BETWEEN_STAGES:
            return [_after(mechanism, stage[-1]) for stage in stages[:3]]
        case Placement.BEFORE_LAST_BLOCK:
            return [_after(mechanism, stages[2][-2])]
        case Placement.AFTER_LAST_STAGE:
            return [_after(mechanism, stages[3][-1])]


def _on_branch(mechanism: Mechanism, block: ResidualBlock) -> nn.Module:
    block.attention = mechanism.build(block.out_channels)
    return block.attention


def _after(mechanism: Mechanism, block: ResidualBlock) -> nn.Module:
    block.context = mechanism.build(block.out_channels)
    return block.context


def _after_spatial(mechanism: Mechanism, block: ResidualBlock) -> nn.Module:
    attend = mechanism.build(block.spatial_channels)
    block.follow_spatial(attend)
    return attend


def _instead_of_spatial(mechanism: Mechanism, block: ResidualBlock) -> nn.Module:
    """The mechanism keeps the size; where the convolution had a stride, average pooling goes before it."""
    attend = mechanism.build(block.spatial_channels)
    block.replace_spatial(
        attend
        if block.spatial_stride == 1
        else nn.Sequential(nn.AvgPool2d(3, block.spatial_stride, 1), attend)
    )
    return attend
