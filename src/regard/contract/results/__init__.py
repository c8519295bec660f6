"""What a prediction is, in the user's terms."""

from regard.contract.results.classification import Classification
from regard.contract.results.pictures import save_png
from regard.contract.results.pose import Pose
from regard.contract.results.reconstruction import Reconstruction
from regard.contract.results.segmentation import CUT_OFF, Segmentation
from regard.contract.results.text import Text
from regard.contract.results.token import Token

__all__ = ["CUT_OFF", "Classification", "Pose", "Reconstruction", "Segmentation", "Text", "Token", "save_png"]
