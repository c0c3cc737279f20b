from .build import build_pairs as build_pairs
from .config import PairsConfig as PairsConfig
from .own import build_own_pairs as build_own_pairs
