"""ViT: a Transformer encoder over the patches of an image, and a class token that gathers what the classifier
reads.

Dosovitskiy et al., "An Image is Worth 16x16 Words: Transformers for Image Recognition at Scale", ICLR 2021,
eqs. 1-4. https://arxiv.org/abs/2010.11929

    z_0 = [class; patch_1 E; ...; patch_N E] + positions
    z_l = block_l(z_{l-1})                                  see `transformer`
    y   = linear(norm(z_L at the class token))

Names and layers are those of timm's vit_*_patch16_224 (LayerNorm's eps is 1e-6), so that their checkpoints
load. ViT-Base is the paper's; Small and Tiny are of Touvron et al., "Training data-efficient image
transformers", ICML 2021, table 1. https://arxiv.org/abs/2012.12877
"""

import torch
from torch import Tensor, nn

from regard.models.classifiers import check_classes
from regard.models.parts.image_size import check_square
from regard.models.parts.transformer import EncoderBlock, TokenSelfAttention, initialize_linears


class PatchEmbedding(nn.Module):
    """A linear map of every patch, row by row: (B, 3, H, W) -> (B, patches, D). H and W are multiples of the
    patch's side.
    """

    def __init__(self, patch_size: int, width: int) -> None:
        super().__init__()
        self.proj = nn.Conv2d(3, width, kernel_size=patch_size, stride=patch_size)

    def forward(self, x: Tensor) -> Tensor:
        return self.proj(x).flatten(2).transpose(1, 2)


class VisionTransformer(nn.Module):
    """Class scores (logits) of an image batch: (B, 3, S, S) -> (B, num_classes), S = image_size. Positions
    are learned for one size.

    Args:
        num_classes: K.
        image_size: side of the images, in pixels.
        patch_size: side of the patches, in pixels.
        width: D, of the tokens.
        depth: number of blocks.
        heads: of each attention.
        mlp_ratio: hidden units of each block's perceptron, as a multiple of the width.
    """

    def __init__(
        self,
        *,
        num_classes: int = 1000,
        image_size: int = 224,
        patch_size: int = 16,
        width: int = 768,
        depth: int = 12,
        heads: int = 12,
        mlp_ratio: int = 4,
    ) -> None:
        super().__init__()
        check_classes(num_classes)
        if min(patch_size, image_size) < 1 or image_size % patch_size:
            raise ValueError(
                f"image_size must be a multiple of patch_size, got {image_size} and {patch_size}"
            )
        for name, value in (("width", width), ("depth", depth)):
            if value < 1:
                raise ValueError(f"{name} must be at least 1, got {value}")
        self.image_size = image_size
        self.patch_embed = PatchEmbedding(patch_size, width)
        self.cls_token = nn.Parameter(torch.zeros(1, 1, width))
        self.pos_embed = nn.Parameter(torch.zeros(1, 1 + (image_size // patch_size) ** 2, width))
        self.blocks = nn.Sequential(
            *(
                EncoderBlock(width, TokenSelfAttention(width, heads), hidden=mlp_ratio * width, eps=1e-6)
                for _ in range(depth)
            )
        )
        self.norm = nn.LayerNorm(width, eps=1e-6)
        self.head = nn.Linear(width, num_classes)
        initialize_linears(self)
        nn.init.trunc_normal_(self.pos_embed, std=0.02)
        nn.init.normal_(self.cls_token, std=1e-6)

    def forward(self, x: Tensor) -> Tensor:
        check_square(x, self.image_size, "vision transformer")
        patches = self.patch_embed(x)  # (B, N, D)
        # (B, 1 + N, D)  eq. 1
        tokens = torch.cat([self.cls_token.expand(x.shape[0], -1, -1), patches], dim=1) + self.pos_embed
        return self.head(self.norm(self.blocks(tokens)[:, 0]))  # eq. 4
