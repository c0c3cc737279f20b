from .build import pairs as pairs
from .config import PairsConfig as PairsConfig
