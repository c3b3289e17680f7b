"""
Rotation of one secret as a transaction: stage, try it on the live server, promote, end the old one; or roll back.

Start reading at ``machine``: the steps. ``rotator`` says what a maker of new secrets is; each of the others is one.
"""
