"""Pong from pixels: a policy graph trained with clipped surrogates, or as in 2016.

The 210×160 frame is cropped to the court, halved and stripped of its background: 80×80
pixels. A lost point costs 1, a won one -1, and credit ends where a point does. Two
recipes train the same kind of graph:

``default``: PPO on the current and the difference frame, summed over long windows, with
a value node; 32 games of 64 decisions an update, acting and learning at the same time.

``karpathy``: "Deep Reinforcement Learning: Pong from Pixels" (2016): difference frames,
200 ReLU units, one logit for UP; the score function on batches of 10 games, discounted
downstream cost reset at each point and standardised; RMSProp. It takes about 10 million
decisions to play evenly.

Needs ``pip install -e '.[atari,train]'``. Sticky actions .25, frame skip 4. The run
writes checkpoints, a learning curve and pictures of the weights to ``runs/pong``, and
the same command resumes it; ``--play`` films a game.
"""
