"""Parts that networks are made of, and that yours may be made of. They are no mechanisms of `ATTENTION`: what
they take and return is more, or other, than one feature map.

Networks of the catalog use crop, proposals, footprint_attention, residual_masks, transformer, mean_answer,
clustering, scoring.ScaledDot and hard.gumbel_noise. The rest is a library, which no network and no command of
regard calls. They are nn.Modules to build and call, with the shapes that they state:

scoring        six ways of comparing keys with queries
soft           soft and key-value attention over any of them
hard           the best value alone, or one drawn by noise that is an input
max_saliency   each channel's most salient position
"""
