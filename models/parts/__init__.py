"""Parts that networks are made of, and that yours may be made of. They are no mechanisms of `ATTENTION`: what
they take and return is more, or other, than one feature map.

Networks of the catalog use them all but these, a library that no network and no command of regard calls. They
are nn.Modules to build and call, with the shapes that they state:

scoring        Dot, Cosine and Distance, three of six ways of comparing keys with queries
hard           the best value alone, or one drawn by noise that is an input
max_saliency   each channel's most salient position
"""
