"""Writing an answer word by word: greedy and beam search over a network that takes one step at a time, both
exported as one Loop.

generated       what a search returns
stepwise        what a network must offer to be searched
until           the loop itself: plain Python in PyTorch, a Loop in the exported graph
greedy          the likeliest word at every step
beam            the likeliest of several answers kept side by side
search          the one of the two that a network's options ask for
forcing         the network along an answer that is given, for training
"""
