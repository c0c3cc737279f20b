from .planning import ARTICLES_PER_FILE as ARTICLES_PER_FILE
from .planning import REFERENCE as REFERENCE
from .planning import Constants as Constants
from .planning import plan as plan
from .ray_engine import RayEngine as RayEngine
