"""Predicted rows against true rows of anybody's tables, without torch.

from ghostpad.measure import score
score(predicted, truth, fps=20)["sticks"]["left_x"]["r2"]

match        rows of two tables, matched by time                   scores       all measures of matched rows, and trivial baselines
slots        measures of one stick or button                       events       presses and releases within a collar, false presses
timing       how late the prediction is                            reliability  calibration: probabilities against frequencies
coverage     the error of the most confident rows; mistakes        bootstrap    intervals over videos
risk         thresholds that keep the error share below a target   evaluate     all of it for an IDM's rows under a corpus
"""

from ghostpad.measure.scores import score

__all__ = ["score"]
