"""A study: trials of one method's settings on one data set, judged by validation images alone, kept in a database.

A trial is the suite's own run with other settings, carried out by `execute` as every run is, in a
`ValidationWorkspace`: the data set has its validation split in the test split's place, and its test split nowhere. The
same split stops the training early and keeps the best epoch, so a trial's estimate is a little better than it would be
on new images, for all trials alike; what the chosen settings are worth, the suite tells afterwards on test images.
"""

SAMPLES = 500
"""Importance samples an image of the objective nll, unless a command says otherwise."""
